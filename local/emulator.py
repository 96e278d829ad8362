"""S3, SQS and Secrets Manager on this machine: ministack, kept in a folder, whole again after a kill.

`python -m local.emulator` is the process itself, told by its environment; `Emulator` runs it.
"""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from local.emulator_faults import Application, EmulatorFaults, Message, Receive, Send
from local.programs import Program, environment

if TYPE_CHECKING:
    import boto3

HOST = "127.0.0.1"
REGION: Final = "eu-west-1"
ACCOUNT = "000000000000"
ACCESS_KEY = "local"
SERVICES = ("s3", "sqs", "secretsmanager")

_KEPT_MODULES = {"AmazonSQS": "sqs", "secretsmanager": "secretsmanager"}
_READING = ("Get", "List", "Describe", "Receive", "Batch", "ValidateResourcePolicy")


class Emulator(Program):
    """The emulator over one folder, on one port of the loopback interface; it ends with this process."""

    def __init__(self, folder: Path, port: int, log: Path | None = None) -> None:
        self.url = f"http://{HOST}:{port}"
        self.folder = folder
        super().__init__(
            "S3, SQS and Secrets",
            [sys.executable, "-m", "local.emulator"],
            log or folder / "emulator.log",
            environment=_environment(folder, port),
        )

    def launch(self) -> None:
        """Starts it and comes back at once."""
        (self.folder / "tmp").mkdir(parents=True, exist_ok=True)
        # Objects have files of their own, written with each request. This copy, made at a clean stop, would
        # bring back what was deleted since.
        (self.folder / "services" / "s3.json").unlink(missing_ok=True)
        super().launch()

    def is_ready(self) -> bool:
        """Whether it takes requests."""
        try:
            with urllib.request.urlopen(f"{self.url}/_ministack/ready", timeout=1) as reply:  # noqa: S310
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def create_bucket(self, name: str) -> None:
        """Makes a bucket unless it is there."""
        s3 = self.session.client("s3", endpoint_url=self.url)
        if name not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
            s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})

    def create_queue(self, name: str) -> str:
        """Makes a queue unless it is there; its ARN. Messages stay for 14 days, as long as SQS allows."""
        sqs = self.session.client("sqs", endpoint_url=self.url)
        sqs.create_queue(QueueName=name, Attributes={"MessageRetentionPeriod": str(14 * 24 * 60 * 60)})
        return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"

    def put_secret(self, name: str, value: Mapping[str, str]) -> None:
        """Makes a secret, or gives it this value."""
        secrets = self.session.client("secretsmanager", endpoint_url=self.url)
        try:
            secrets.create_secret(Name=name, SecretString=json.dumps(value))
        except secrets.exceptions.ResourceExistsException:
            secrets.put_secret_value(SecretId=name, SecretString=json.dumps(value))

    @cached_property
    def session(self) -> "boto3.Session":
        """A boto3 session whose clients still need this emulator's `endpoint_url`."""
        import boto3  # a quarter of a second, which only those who ask for it pay

        return boto3.Session(
            aws_access_key_id=ACCESS_KEY, aws_secret_access_key=ACCESS_KEY, region_name=REGION
        )


def _environment(folder: Path, port: int) -> dict[str, str]:
    """Everything in the folder, nothing but the one port, and no Docker, whose containers it would tidy."""
    return environment(
        BIND_HOST=HOST,
        GATEWAY_PORT=str(port),
        SERVICES=",".join(SERVICES),
        SFTP_ENABLED="0",
        IOT_MTLS_ENABLED="0",
        DOCKER_HOST=f"unix://{folder / 'no-docker'}",
        MINISTACK_REGION=REGION,
        MINISTACK_ACCOUNT_ID=ACCOUNT,
        S3_PERSIST="1",
        S3_DATA_DIR=str(folder / "s3"),
        PERSIST_STATE="1",
        STATE_DIR=str(folder / "services"),
        TMPDIR=str(folder / "tmp"),
        LOG_LEVEL="WARNING",
    )


def keeping(application: Application) -> Application:
    """The application, with what a request changed written down before it is answered.

    ministack itself writes queues and secrets when it ends, so a kill would take the dead letters along.
    """

    async def kept(scope: Message, receive: Receive, send: Send) -> None:
        module = _changed_module(scope)

        async def send_after_keeping(message: Message) -> None:
            if module and message["type"] == "http.response.start":
                _keep(module)
            await send(message)

        await application(scope, receive, send_after_keeping)

    return kept


def _changed_module(scope: Message) -> str | None:
    """The module whose state a request changes: its header x-amz-target names service and action."""
    headers = dict(scope.get("headers", ()))
    service, _, action = headers.get(b"x-amz-target", b"").decode("latin-1").partition(".")
    return None if action.startswith(_READING) else _KEPT_MODULES.get(service)


def _keep(module: str) -> None:
    from ministack.core.persistence import save_state

    loaded = sys.modules.get(f"ministack.services.{module}")
    if loaded is not None:
        save_state(module, loaded.get_state())


def main() -> None:
    """Runs the emulator until it is ended."""
    import ministack.app

    ministack.app.app = EmulatorFaults().failing(keeping(ministack.app.app))
    ministack.app.main()


if __name__ == "__main__":
    main()
