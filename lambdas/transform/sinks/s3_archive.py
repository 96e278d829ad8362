"""Reading back what the S3 sink wrote: for comparing, and for whoever wants the changes in Python."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from pgevents.batch import Change, Column
from pgevents.errors import InputError
from transform.sinks.aws_errors import aws_errors
from transform.sinks.s3 import GZIP_HEADER, target_prefix
from transform.sinks.s3_lines import UnreadableLine, parse_line

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_BLOCK_BYTES = 256 * 1024


class ArchiveObject(NamedTuple):
    """An object of the archive: its key, and when S3 took it, by the clock of S3."""

    key: str
    written_at: datetime


def read_archive(
    client: "S3Client", bucket: str, prefix: str, target: str, columns: Sequence[Column]
) -> Iterator[Change]:
    """Every change of a target in the archive, by hour and batch; across batches not in order of version.

    Values are in PostgreSQL's text form again, one for each of `columns`. Raises TransientError when S3
    fails, InputError for an object that the sink did not write.
    """
    for found in list_objects(client, bucket, prefix, target):
        yield from read_object(client, bucket, found.key, columns)


def list_objects(
    client: "S3Client", bucket: str, prefix: str, target: str, after: str = ""
) -> Iterator[ArchiveObject]:
    """The objects of a target in the order of their keys, those behind the key `after`."""
    begin = target_prefix(prefix, target)
    with aws_errors(f"list s3://{bucket}/{begin}"):
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=begin, StartAfter=after
        )
        for page in pages:
            for found in page.get("Contents", []):
                yield ArchiveObject(found["Key"], found["LastModified"])


def read_object(client: "S3Client", bucket: str, key: str, columns: Sequence[Column]) -> Iterator[Change]:
    """The changes of one object, as they come: the whole of it is never held. Raises as `read_archive`."""
    where = f"s3://{bucket}/{key}"
    with aws_errors(f"read {where}"):
        body = client.get_object(Bucket=bucket, Key=key)["Body"]
        try:
            for line in _lines(body.iter_chunks(_BLOCK_BYTES)):
                yield parse_line(line, columns)
        except (zlib.error, UnreadableLine) as error:
            raise InputError(f"{where}: {error}; move it out of the archive") from error


def _lines(compressed: Iterable[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(GZIP_HEADER)
    rest = b""
    for block in compressed:
        *lines, rest = (rest + unpacker.decompress(block)).split(b"\n")
        yield from filter(None, lines)
    yield from filter(None, (rest + unpacker.flush()).split(b"\n"))
    if not unpacker.eof:
        raise zlib.error("the object ends too early")
