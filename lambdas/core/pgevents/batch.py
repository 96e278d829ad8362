"""A batch: what one drain hands to the sinks and to the Redshift writer.

Values are PostgreSQL's own text form, or None for NULL: exactly what `COPY ... TO STDOUT` prints under
DateStyle ISO, TimeZone UTC, IntervalStyle iso_8601 and hex bytea. Text is the one form that no value loses
anything in; only a transform that asks for a column pays for decoding it.
"""

import zlib
from collections.abc import Mapping
from typing import Literal

import msgspec

from pgevents.errors import TerminalError

Clause = Literal["INSERT", "DELETE"]
Mode = Literal["mirror", "history", "both"]
Values = tuple[str | None, ...]

COMPRESSION_LEVEL = 6


class Column(msgspec.Struct, frozen=True):
    """A target column: its name and its PostgreSQL type, in lower case and without a length."""

    name: str
    type: str


class Change(msgspec.Struct, frozen=True, array_like=True):
    """One effect on one row of a target.

    An INSERT carries every column. A DELETE carries the key columns and None elsewhere. A DELETE without
    values takes every row older than its version: a TRUNCATE of the source.
    """

    clause: Clause
    version: int
    values: Values | None


class TableChanges(msgspec.Struct, frozen=True):
    """The changes of one target in a batch, in ascending order of version."""

    target: str
    mode: Mode
    sinks: tuple[str, ...]
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    changes: list[Change]

    def key_positions(self) -> tuple[int, ...]:
        """Where the key's columns stand among the columns, in the key's order."""
        positions = {column.name: position for position, column in enumerate(self.columns)}
        return tuple(positions[name] for name in self.key)


class Batch(msgspec.Struct, frozen=True):
    """Everything that one window of a source's outbox does to the targets.

    The same batch_id of the same source always holds the same changes, however often it is read again.
    `opened_at` is ISO 8601 in UTC and belongs to the batch, not to the attempt.
    """

    source: str
    batch_id: int
    epoch: int
    opened_at: str
    tables: list[TableChanges]

    def for_sink(self, sink: str) -> "Batch":
        """The part of this batch that is routed to one sink."""
        return msgspec.structs.replace(self, tables=[table for table in self.tables if sink in table.sinks])

    def change_count(self) -> int:
        """How many changes there are over all targets."""
        return sum(len(table.changes) for table in self.tables)


def encode(batch: Batch) -> bytes:
    """A batch as compressed JSON, equal bytes for equal batches."""
    return zlib.compress(msgspec.json.encode(batch), COMPRESSION_LEVEL)


def decode(encoded: bytes) -> Batch:
    """The batch that `encode` was given.

    Raises TerminalError when the bytes are not a batch: no later attempt could read them either.
    """
    try:
        return msgspec.json.decode(zlib.decompress(encoded), type=Batch)
    except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise TerminalError(f"this is not an encoded batch: {error}") from error


def newest_by_key(table: TableChanges) -> tuple[int, Mapping[Values, Change]]:
    """What a table comes to after all its changes: (truncation version or 0, key → newest change).

    Changes older than the last truncation are left out.
    """
    positions = table.key_positions()
    truncated = 0
    newest: dict[Values, Change] = {}
    for change in table.changes:
        if change.values is None:
            truncated = change.version
            newest.clear()
            continue
        newest[tuple(change.values[position] for position in positions)] = change
    return truncated, newest
