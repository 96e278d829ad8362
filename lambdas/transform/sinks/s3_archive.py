"""Reading back what the S3 sink wrote: for comparing, and for whoever wants the changes in Python."""

import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pgevents.batch import Change, Column
from pgevents.errors import InputError
from transform.sinks.aws_errors import aws_errors
from transform.sinks.s3 import GZIP_HEADER, target_prefix
from transform.sinks.s3_lines import UnreadableLine, parse_line

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def read_archive(
    client: "S3Client", bucket: str, prefix: str, target: str, columns: Sequence[Column]
) -> Iterator[Change]:
    """Every change of a target in the archive, by hour and batch; across batches not in order of version.

    Values are in PostgreSQL's text form again, one for each of `columns`. Raises TransientError when S3
    fails, InputError for an object that the sink did not write.
    """
    for key in _keys(client, bucket, target_prefix(prefix, target)):
        where = f"s3://{bucket}/{key}"
        with aws_errors(f"read {where}"):
            body = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        try:
            lines = zlib.decompress(body, GZIP_HEADER).split(b"\n")
            yield from [parse_line(line, columns) for line in lines if line]
        except (zlib.error, UnreadableLine) as error:
            raise InputError(f"{where}: {error}; move it out of the archive") from error


def _keys(client: "S3Client", bucket: str, prefix: str) -> Iterator[str]:
    with aws_errors(f"list s3://{bucket}/{prefix}"):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", []):
                yield found["Key"]
