"""A batch: what one drain hands to the sinks and to the Redshift writer.

Values are PostgreSQL's own text form, or None for NULL: exactly what `COPY ... TO STDOUT` prints under
DateStyle ISO, TimeZone UTC, IntervalStyle iso_8601 and hex bytea. Text is the one form that no value loses
anything in; only a transform that asks for a column pays for decoding it.
"""

import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate, pairwise
from typing import Literal

import msgspec

from pgevents.errors import TerminalError
from pgevents.identity import BatchIdentity

Clause = Literal["INSERT", "DELETE"]
Mode = Literal["mirror", "history", "both"]
Values = tuple[str | None, ...]

# Columns let the fastest level make less of a batch than the slowest one makes of its rows.
COMPRESSION_LEVEL = 1
_TRUNCATION = "T"
_LETTERS: dict[Clause, str] = {"INSERT": "I", "DELETE": "D"}
_CLAUSES: dict[str, Clause] = {letter: clause for clause, letter in _LETTERS.items()}


class Column(msgspec.Struct, frozen=True):
    """A target column: its name and its PostgreSQL type, in lower case and without a length."""

    name: str
    type: str


class Change(msgspec.Struct, frozen=True, array_like=True, gc=False):
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

    def opened(self) -> datetime:
        """When it was opened, in UTC; a time without an offset is in UTC."""
        opened = datetime.fromisoformat(self.opened_at)
        return (opened if opened.tzinfo else opened.replace(tzinfo=UTC)).astimezone(UTC)

    def identity(self) -> BatchIdentity:
        """Which batch of its source it is."""
        return BatchIdentity(self.epoch, self.batch_id, self.opened())

    def change_count(self) -> int:
        """How many changes there are over all targets."""
        return sum(len(table.changes) for table in self.tables)


class _Columns(msgspec.Struct, frozen=True):
    """The changes of one target column by column, since what is alike is best compressed side by side.

    `clauses` has a letter for each change: I, D, or T for a deletion without values. `versions` are the first
    one and from there the differences. `values` has a list for each column, of the changes that have values.
    """

    target: str
    mode: Mode
    sinks: tuple[str, ...]
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    clauses: str
    versions: list[int]
    values: list[Sequence[str | None]]


class _Columnar(msgspec.Struct, frozen=True, tag_field="form", tag="columns"):
    """A batch as it is encoded. One from before there were forms is a Batch as it stands, row by row."""

    source: str
    batch_id: int
    epoch: int
    opened_at: str
    tables: list[_Columns]


_COLUMNAR_START = b'{"form":"columns"'


def encode(batch: Batch) -> bytes:
    """A batch as compressed JSON, equal bytes for equal batches."""
    tables = [_columns_of(table) for table in batch.tables]
    columnar = _Columnar(batch.source, batch.batch_id, batch.epoch, batch.opened_at, tables)
    return zlib.compress(msgspec.json.encode(columnar), COMPRESSION_LEVEL)


def decode(encoded: bytes) -> Batch:
    """The batch that `encode` was given, by this version or an earlier one.

    Raises TerminalError when the bytes are not a batch: no later attempt could read them either.
    """
    try:
        json = zlib.decompress(encoded)
        if not json.startswith(_COLUMNAR_START):
            return msgspec.json.decode(json, type=Batch)
        columnar = msgspec.json.decode(json, type=_Columnar)
        tables = [_table_of(columns) for columns in columnar.tables]
    except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError, ValueError, KeyError) as error:
        raise TerminalError(f"this is not an encoded batch: {error}") from error
    return Batch(columnar.source, columnar.batch_id, columnar.epoch, columnar.opened_at, tables)


def _columns_of(table: TableChanges) -> _Columns:
    changes = table.changes
    versions = [change.version for change in changes]
    rows = [change.values for change in changes if change.values is not None]
    return _Columns(
        table.target,
        table.mode,
        table.sinks,
        table.key,
        table.columns,
        "".join([_TRUNCATION if each.values is None else _LETTERS[each.clause] for each in changes]),
        versions[:1] + [later - earlier for earlier, later in pairwise(versions)],
        list(zip(*rows, strict=True)) if rows else [() for _ in table.columns],
    )


def _table_of(columns: _Columns) -> TableChanges:
    """Raises ValueError or KeyError when the lists do not belong together."""
    rows = list(zip(*columns.values, strict=True))
    if len(rows) + columns.clauses.count(_TRUNCATION) != len(columns.clauses):
        raise ValueError(
            f"{columns.target} has {len(columns.clauses)} changes and {len(rows)} rows of values"
        )
    row = iter(rows)
    changes = [
        Change("DELETE", version, None)
        if letter == _TRUNCATION
        else Change(_CLAUSES[letter], version, next(row))
        for letter, version in zip(columns.clauses, accumulate(columns.versions), strict=True)
    ]
    return TableChanges(columns.target, columns.mode, columns.sinks, columns.key, columns.columns, changes)


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
