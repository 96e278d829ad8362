"""The S3 sink: every change, as compressed JSON lines that Redshift's COPY and Athena read.

<prefix>/<target>/date=2026-11-22/hour=15/<source>-<epoch>-<batch id>-20261122T150405123456Z.json.gz

Names and bytes follow from the batch alone, its hour too. So writing a batch again replaces its objects by
equal ones, and needs no memory of what was written; what a source wrote before it was restored to an earlier
state keeps its own names. docs/adr/0008-s3-layout-and-forwarding.md says why.
"""

import zlib
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from pgevents.batch import Batch, TableChanges
from pgevents.errors import TransientError
from pgevents.refusals import RefusedChanges, refusal
from transform.sinks.aws_errors import aws_errors
from transform.sinks.s3_lines import OWN_COLUMNS, Lines

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OBJECT_BYTES = 64 * 1024 * 1024  # of lines, before compression: what zlib makes of them may change with zlib
COMPRESSION_LEVEL = 6
_PIECE_BYTES = 1024 * 1024
GZIP_HEADER = 31  # zlib's own gzip header, which has no time in it


class Object(NamedTuple):
    """One object of the archive."""

    key: str
    body: bytes


class S3Sink:
    """Writes batches under one prefix of one bucket."""

    def __init__(
        self, client: "S3Client", bucket: str, prefix: str, object_bytes: int = OBJECT_BYTES
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._object_bytes = object_bytes

    def write(self, batch: Batch) -> list[str]:
        """Write the batch (what is routed to this sink of it); returns the keys of its objects.

        Raises as `render` and `put`.
        """
        return self.put(self.render(batch))

    def render(self, batch: Batch) -> list[Object]:
        """The batch's objects, which nothing is refused of any more.

        Raises RefusedChanges for a text that UTF-8 cannot express, TransientError for a column's name.
        """
        return [
            Object(object_key(self._prefix, target, batch, part), body)
            for target, tables in groupby(sorted(batch.tables, key=_target), key=_target)
            for part, body in enumerate(self._objects(batch.source, list(tables)), 1)
        ]

    def put(self, objects: Iterable[Object]) -> list[str]:
        """Write objects; returns their keys. Raises TransientError; all are written again then."""
        keys = []
        for key, body in objects:
            with aws_errors(f"write s3://{self._bucket}/{key}"):
                self._client.put_object(
                    Bucket=self._bucket, Key=key, Body=body, ContentType="application/gzip"
                )
            keys.append(key)
        return keys

    def _objects(self, source: str, tables: list[TableChanges]) -> Iterator[bytes]:
        """The bodies of a target's objects: a new one begins where the last would grow over the limit."""
        compressed: list[bytes] = []
        size, packer = 0, _packer()
        for line in _lines(source, tables):
            if size and size + len(line) > self._object_bytes:
                yield b"".join([*compressed, packer.flush()])
                compressed, size, packer = [], 0, _packer()
            size += len(line)
            compressed += _packed(packer, line)
            del line  # it may be the longest thing in memory
        if size:
            yield b"".join([*compressed, packer.flush()])


def object_key(prefix: str, target: str, batch: Batch, part: int = 1) -> str:
    """Where a part of a target's changes in a batch is kept."""
    opened = batch.opened()
    suffix = f"-{part}" if part > 1 else ""
    name = f"{quote(batch.source, safe='')}-{batch.epoch}-{batch.batch_id:012d}-{opening_time(batch)}{suffix}"
    return f"{target_prefix(prefix, target)}date={opened:%Y-%m-%d}/hour={opened:%H}/{name}.json.gz"


def opening_time(batch: Batch) -> str:
    """When the batch was opened, for the name of an object."""
    return f"{batch.opened():%Y%m%dT%H%M%S%f}Z"


def target_prefix(prefix: str, target: str) -> str:
    """What the keys of a target's objects begin with, the slash included."""
    return "/".join([*filter(None, [prefix.strip("/")]), quote(target, safe=""), ""])


def _target(table: TableChanges) -> str:
    return table.target


def _packed(packer: "zlib._Compress", line: bytearray) -> Iterator[bytes]:
    """In pieces: zlib would hold what it makes of a long line twice."""
    for start in range(0, len(line), _PIECE_BYTES):
        yield packer.compress(memoryview(line)[start : start + _PIECE_BYTES])


def _packer() -> "zlib._Compress":
    return zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, GZIP_HEADER)


def _lines(source: str, tables: list[TableChanges]) -> Iterator[bytearray]:
    for table in tables:
        reserved = {column.name for column in table.columns} & set(OWN_COLUMNS)
        if reserved:
            raise TransientError(
                f"target {table.target} has a column {min(reserved)}, a name the archive keeps for itself;"
                " leave it out or give it another name in the table's transform"
            )
        lines = Lines(source, table.columns, table.key)
        for change in table.changes:
            try:
                yield lines.encode(change)
            except UnicodeEncodeError as error:
                raise RefusedChanges(
                    [refusal(table, change, f"the text is no valid Unicode: {error}")]
                ) from error
