"""A deployment from beginning to end: into an emulator of CloudFormation, with triggers in a real PostgreSQL.

The emulator stubs some types and checks little (emulator.py). What this does show: the stacks' order, references and
assets hold together, and CloudFormation's custom resource installs and removes the triggers.
"""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import boto3
import psycopg
import pytest

from local.postgres import free_port
from ops import cdk

HERE = Path(__file__).parent
REGION, ACCOUNT = "eu-west-1", "000000000000"
PIPELINE = """
[sources.accounts]
doorbell = "schedule"
[[sources.accounts.tables]]
table = "public.account"
[sinks.archive]
type = "s3"
[sinks.warehouse]
type = "redshift"
[[routes]]
table = "accounts.public.account"
sinks = ["archive", "warehouse"]
columns = { legal_name = "text", legal_form = "text", slug = "text", country = "text" }
"""


class Cloud:
    """The emulator and the CDK's command line, which talks to nothing else."""

    def __init__(self, folder: Path, database: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self._folder, self._assembly = folder, folder / "a cdk.out"
        (folder / "pipeline.toml").write_text(PIPELINE)
        self.environment = {
            **{name: value for name, value in cdk.environment().items() if not name.startswith("AWS_")},
            **self._emulated(),
            "PYTHONPATH": os.pathsep.join(
                str(cdk.PROJECT / root) for root in (".", "lambdas", "lambdas/core")
            ),
            "PIPELINE": str(folder / "pipeline.toml"),
        }
        log = (folder / "emulator.log").open("w")
        with log:
            self._process = subprocess.Popen(
                [sys.executable, str(HERE / "emulator.py")],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._await_ready()
        except AssertionError:
            self.stop()
            raise
        self.environment["DATABASES"] = json.dumps({"accounts": self._described(database)})

    def _emulated(self) -> dict[str, str]:
        return {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": self.url.rsplit(":", 1)[1],
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_REGION": REGION,
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "DOCKER_HOST": f"unix://{self._folder / 'no-docker'}",
            "TMPDIR": str(self._folder),
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "HOME": str(self._folder),  # where the command line remembers whose account a key is
            "CDK_HOME": str(self._folder / "cdk"),
        }

    def _await_ready(self) -> None:
        until = time.monotonic() + 120
        while time.monotonic() < until and self._process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.url}/_ministack/ready", timeout=1).close()
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise AssertionError((self._folder / "emulator.log").read_text())

    def _described(self, dsn: str) -> dict[str, object]:
        at = psycopg.conninfo.conninfo_to_dict(dsn)
        keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": REGION}
        secrets = boto3.client("secretsmanager", endpoint_url=self.url, **keys)
        secret = secrets.create_secret(
            Name="accounts", SecretString=json.dumps({"username": at["user"], "password": "unused"})
        )
        return {
            "host": at["host"],
            "port": int(str(at["port"])),
            "database": at["dbname"],
            "user": at["user"],
            "secret_arn": secret["ARN"],
            "proxy_host": "127.0.0.1",
            "proxy_resource_id": "prx-1",
            "sslmode": "disable",
        }

    def synthesize(self) -> None:
        """Once: every command takes what this leaves."""
        subprocess.run(
            [sys.executable, str(HERE / "app.py")],
            env={**self.environment, "CDK_OUTDIR": str(self._assembly), "CDK_VALIDATION": "false"},
            check=True,
            capture_output=True,
        )

    def cdk(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(cdk.node()), str(cdk.command_line()), *arguments, "--app", str(self._assembly)],
            cwd=self._folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)


@pytest.fixture
def cloud(tmp_path: Path, database: str) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path, database)
    try:
        cloud.synthesize()
        yield cloud
    finally:
        cloud.stop()


def one(dsn: str, query: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[arg-type]
    return row[0] if row else None


def test_a_deployment_names_what_is_missing_installs_the_triggers_and_takes_everything_away(
    cloud: Cloud, database: str
) -> None:
    succeeds(cloud.cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}"))
    deploy = ("deploy", "local/*", "--require-approval", "never")
    refused = cloud.cdk(*deploy)
    assert refused.returncode == 1
    assert "table public.account does not exist" in refused.stdout + refused.stderr
    assert one(database, "select to_regnamespace('pgevents')") is None

    with psycopg.connect(database) as connection:
        connection.execute("create table public.account (id bigint primary key, name text)")
    succeeds(cloud.cdk(*deploy))
    assert one(database, "select name from pgevents.captured_table") == "public.account"
    assert one(database, "select function_name from pgevents.setting") == "pgevents-local-transform"

    again = cloud.cdk(*deploy, "--force")  # as ./pgevents deploy does
    succeeds(again)
    assert "(no changes)" in again.stdout + again.stderr

    # Not the databases: with all of them there already the stack is empty, and an empty one is never deployed.
    made = [f"local/{stack}" for stack in cdk.STACKS if stack != "databases"]
    succeeds(cloud.cdk("diff", *made, "--exclusively", "--fail"))
    succeeds(cloud.cdk("destroy", "local/*", "--force"))
    assert one(database, "select to_regnamespace('pgevents')") is None


def succeeds(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
