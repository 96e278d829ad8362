"""Handing a batch on to the redshift_writer Lambda, which works on it in its own time.

The batch travels within the event when it is small enough, else the event says where in S3 it lies.
docs/adr/0008-s3-layout-and-forwarding.md says why the limit is what it is.
"""

import base64
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

import msgspec

from pgevents.batch import Batch, encode
from transform.invoking import invoke
from transform.sinks.aws_errors import aws_errors
from transform.sinks.s3 import opening_time

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

# Bytes of the whole event. Lambda takes 1 MB, and its destinations are sent the event once more, wrapped in a
# record with the function's answer or its error: that has to fit into 1 MB too.
INLINE_LIMIT = 900_000


class Forwarded(msgspec.Struct, frozen=True):
    """How a batch was handed on: the bytes of the batch as encoded, and its object if it has one."""

    encoding: Literal["zlib+base64", "s3"]
    size: int
    key: str | None = None


class Forwarder:
    """Invokes one function, asynchronously, with batches."""

    def __init__(
        self,
        lambda_client: "LambdaClient",
        s3_client: "S3Client",
        function_name: str,
        bucket: str,
        inline_limit: int = INLINE_LIMIT,
    ) -> None:
        self._lambda = lambda_client
        self._s3 = s3_client
        self._function = function_name
        self._bucket = bucket
        self._inline_limit = inline_limit

    def forward(self, batch: Batch) -> Forwarded:
        """Queue the batch for the writer. Doing it again is harmless: the writer knows a batch by its token.

        Raises TransientError unless Lambda says that it has taken the event.
        """
        encoded = encode(batch)
        event = _event(batch, encoding="zlib+base64", body=base64.b64encode(encoded).decode())
        if len(event) <= self._inline_limit:
            invoke(self._lambda, self._function, event)
            return Forwarded("zlib+base64", len(encoded))
        key = forwarded_key(batch)
        with aws_errors(f"write s3://{self._bucket}/{key}"):
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=encoded, ContentType="application/zlib")
        stored = _event(batch, encoding="s3", bucket=self._bucket, key=key)
        invoke(self._lambda, self._function, stored)
        return Forwarded("s3", len(encoded), key)

    def purge(self, source: str, below: int) -> None:
        """Queue a purge of what the writer keeps of a source: old tokens, and tombstones below a version.

        Raises TransientError unless Lambda says that it has taken the event.
        """
        event = msgspec.json.encode({"kind": "purge", "source": source, "below": below})
        invoke(self._lambda, self._function, event)


def forwarded_key(batch: Batch) -> str:
    """Where a batch lies that is too large for an event: always the same place, however often it is sent."""
    name = f"{batch.epoch}-{batch.batch_id}-{opening_time(batch)}"
    return f"forwarded/{quote(batch.source, safe='')}/{name}.json.z"


def _event(batch: Batch, **where: str) -> bytes:
    event = {"kind": "batch", "source": batch.source, "batch_id": batch.batch_id, **where}
    return msgspec.json.encode(event)
