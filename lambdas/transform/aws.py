"""What the transform Lambda asks of AWS beside its databases: S3, Lambda, and how it logs in.

botocore without boto3, which would bring transfers, resources and their documentation along: half of the
time. And only when it is needed, so that no start of a Lambda waits for it and no snapshot of one holds a
client with its credentials.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from pgevents.settings import Connection

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client


class Aws:
    """Clients, each made when it is first asked for."""

    @cached_property
    def s3(self) -> "S3Client":
        """S3, with the retries of `_impatient`."""
        client: S3Client = self._client("s3", self._impatient())
        return client

    @cached_property
    def functions(self) -> "LambdaClient":
        """Lambda, with the retries of `_impatient`."""
        client: LambdaClient = self._client("lambda", self._impatient())
        return client

    @cached_property
    def helpers(self) -> "LambdaClient":
        """Lambda for calls that somebody waits for who can do without them."""
        client: LambdaClient = self._client("lambda", self._impatient(connect=1, read=2, attempts=1))
        return client

    def secret(self, name: str) -> str:
        """What a secret of Secrets Manager holds."""
        return str(self._client("secretsmanager").get_secret_value(SecretId=name)["SecretString"])

    def token(self, to: Connection) -> str:
        """A password of a few minutes for a database that takes IAM."""
        rds = self._client("rds")
        return str(rds.generate_db_auth_token(DBHostname=to.host, Port=to.port, DBUsername=to.user))

    @cached_property
    def _session(self) -> Any:
        import botocore.session

        return botocore.session.get_session()

    def _client(self, service: str, config: Any = None) -> Any:
        return self._session.create_client(service, config=config)

    def _impatient(self, connect: int = 3, read: int = 20, attempts: int = 2) -> Any:
        """Retries are the sweep's: a client that waits through its own would hold the drain's lock.

        What is passed is of this code's own making: to have it looked at costs half a millisecond a call.
        """
        from botocore.config import Config

        return Config(
            connect_timeout=connect,
            read_timeout=read,
            retries={"mode": "standard", "total_max_attempts": attempts},
            parameter_validation=False,
        )
