"""What the writer asks of AWS: objects of S3, a secret.

botocore takes a tenth of a second (boto3 a quarter), so it comes when it is needed, and the client with it:
no start of a Lambda waits for them, and no snapshot of one holds them.
"""

from functools import cached_property
from typing import Any

from pgevents.errors import TransientError


class Objects:
    """Objects of S3, through one client."""

    @cached_property
    def _client(self) -> Any:
        return _client("s3")

    def read(self, bucket: str, key: str) -> bytes:
        """Raises TransientError when S3 does not give the object."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            body: bytes = self._client.get_object(Bucket=bucket, Key=key)["Body"].read()
        except (BotoCoreError, ClientError) as error:
            raise TransientError(f"cannot read s3://{bucket}/{key}: {error}") from error
        return body

    def put(self, bucket: str, key: str, body: bytes) -> None:
        """Raises TransientError when S3 does not take the object."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.put_object(Bucket=bucket, Key=key, Body=body)
        except (BotoCoreError, ClientError) as error:
            raise TransientError(f"cannot write s3://{bucket}/{key}: {error}") from error


def read_secret(name: str) -> str:
    """Raises TransientError when Secrets Manager does not give the secret."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return str(_client("secretsmanager").get_secret_value(SecretId=name)["SecretString"])
    except (BotoCoreError, ClientError) as error:
        raise TransientError(f"cannot read the secret {name}: {error}") from error


def _client(service: str) -> Any:
    import botocore.session

    return botocore.session.get_session().create_client(service)
