"""The changes of one target as rows of a temporary table: literals, and COPY for what is larger.

Every value is checked on the way, so that what Redshift would refuse is known by table, column and key.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import LiteralString, NamedTuple

import msgspec

from pgevents import log
from pgevents.batch import Change, TableChanges, Values, newest_by_key
from pgevents.config import Policies
from pgevents.errors import TransientError
from pgevents.refusals import Refusal, RefusedChanges, refusal
from redshift_writer.copying import Copied, Copier, is_large
from redshift_writer.identifiers import folded, listed, quoted
from redshift_writer.literals import NULL, Literalizer, Quoting, Unfit, argument_of, literalizer
from redshift_writer.plain_literals import ColumnLiterals, plain_literals
from redshift_writer.shapes import Shape, placement
from redshift_writer.sql import Sql, joined, sql
from redshift_writer.types import STRING, RedshiftType

STATEMENT_BYTES = 2 * 1024 * 1024
"""Where an insert is cut. The server takes 16 MB, but its leader parses each statement as a whole."""
MESSAGE_BYTES = 15 * 1024 * 1024
"""Where a message of several statements is cut: its limit is 16 MB."""
ROW_BYTES = MESSAGE_BYTES - 256 * 1024
"""The longest row: a statement of its own with up to 1,600 column names before it."""

_SLICE_ROWS = 2_000
"""So many rows are rendered at a time: what is made on the way must not be as large as the batch."""


class Staged(msgspec.Struct, frozen=True):
    """A target's changes, ready to be sent.

    name: the temporary table's. statements: what makes and fills it, none when there is nothing to stage.
    copied: whether COPY brings them; documents and binary are text there then. newest: how many rows are the
    newest of their key, and how many of these are deletions. rows: all of them. first_version: the least
    version of all rows. truncated: the version of the last TRUNCATE, 0 without one.
    """

    name: Sql
    table: TableChanges
    shape: Shape
    statements: list[bytes]
    copied: bool
    rows: int
    newest: int
    deletions: int
    first_version: int
    truncated: int

    @property
    def columns(self) -> list[str]:
        """The names of the user's columns that these changes carry."""
        return [column.name for column in self.table.columns]

    def values(self, prefix: LiteralString = "") -> Sql:
        """The user's columns as the target holds them, each behind a prefix like `s.`."""
        return joined(
            self._value(self.shape.columns[folded(name)], listed([name], prefix)) for name in self.columns
        )

    def _value(self, kind: RedshiftType, column: Sql) -> Sql:
        call = _CALLS.get(kind.family) if self.copied else None
        return column if call is None else sql("{call}({column})", call=call, column=column)


_CALLS = {"document": sql("json_parse"), "binary": sql("from_hex")}
"""What makes values of text, for the types whose reading by COPY is its own."""


def stage(
    number: int,
    table: TableChanges,
    shape: Shape,
    policies: Policies,
    quoting: Quoting,
    copier: Copier | None = None,
) -> Staged:
    """Renders a target's changes; with a copier, many of them into a file for COPY.

    Raises RefusedChanges with table, column and key of every change that cannot go.
    """
    truncated, newest = newest_by_key(table)
    rows = _changes_to_stage(table, newest)
    kept = {id(change) for change in newest.values()}
    name = quoted(f"pgevents_stage_{number}")
    copied = _copied(copier, name, table, shape, rows, kept)
    statements: list[bytes] = []
    if rows:
        is_copied = copied is not None
        rendered = _Renderer(table, shape, policies, quoting, is_copied).render(
            rows if copied is None else copied.rest, kept
        )
        head = insert_head(name, table)
        inserts = (head + b",".join(part) for part in parts(rendered, STATEMENT_BYTES - len(head)))
        statements = [_create(name, table, shape, is_copied).encode(), *inserts]
    if copied is not None:
        statements += [copied.statement.encode(), _counted(name, len(rows)).encode()]
    return Staged(
        name=name,
        table=table,
        shape=shape,
        statements=statements,
        copied=copied is not None,
        rows=len(rows),
        newest=len(newest),
        deletions=sum(change.clause == "DELETE" for change in newest.values()),
        first_version=min((change.version for change in rows), default=0),
        truncated=truncated,
    )


def _copied(
    copier: Copier | None, name: Sql, table: TableChanges, shape: Shape, rows: list[Change], kept: set[int]
) -> Copied | None:
    if copier is None or not is_large(rows):
        return None
    try:
        return copier.copy(name, table, shape, rows, kept)
    except TransientError as error:
        log.warning("not_copied", target=table.target, reason=str(error))
        return None


def _counted(name: Sql, rows: int) -> Sql:
    """Fails unless the staging table has all of its rows: a COPY is not believed to have loaded its file."""
    return sql("select 1 / (case when count(*) = {rows} then 1 else 0 end) from {name}", name=name, rows=rows)


class StagedRow(NamedTuple):
    """A change as it stands in the staging table. `newest`: no later change of its key is in the batch."""

    change: Change
    sql: bytes
    newest: bool


def staged_rows(table: TableChanges, shape: Shape, policies: Policies, quoting: Quoting) -> list[StagedRow]:
    """The rows that `stage` writes for the same arguments, one by one, in its order."""
    _, newest = newest_by_key(table)
    changes = _changes_to_stage(table, newest)
    kept = {id(change) for change in newest.values()}
    rendered = _Renderer(table, shape, policies, quoting).render(changes, kept)
    return [StagedRow(change, row, id(change) in kept) for change, row in zip(changes, rendered, strict=True)]


def _changes_to_stage(table: TableChanges, newest: Mapping[Values, Change]) -> list[Change]:
    return list(newest.values()) if table.mode == "mirror" else _distinct(table)


def _distinct(table: TableChanges) -> list[Change]:
    """Each version of a key once a clause, the last one where a transform made several."""
    positions = table.key_positions()
    distinct: dict[tuple[Values | None, int, str], Change] = {}
    for change in table.changes:
        key = None if change.values is None else tuple(change.values[position] for position in positions)
        distinct[key, change.version, change.clause] = change
    return list(distinct.values())


class _Renderer:
    """Rows of literals. What cannot go is gathered, so that one attempt names all of it."""

    def __init__(
        self,
        table: TableChanges,
        shape: Shape,
        policies: Policies,
        quoting: Quoting,
        beside_copied: bool = False,
    ) -> None:
        self._table = table
        self._key_positions = table.key_positions()
        self._literalizers: list[Literalizer] = [
            literalizer(
                column.type,
                shape.columns[folded(column.name)],
                policies,
                quoting,
                is_key=position in self._key_positions,
            )
            for position, column in enumerate(table.columns)
        ]
        for position, column in enumerate(table.columns if beside_copied else ()):
            if shape.columns[folded(column.name)].family in _CALLS:
                self._literalizers[position] = argument_of(self._literalizers[position])
        # What is left beside a file has something in it that is not plain.
        self._columns: list[ColumnLiterals | None] = [
            plain_literals(
                column.type, shape.columns[folded(column.name)], quoting, is_key=column.name in table.key
            )
            for column in (() if beside_copied else table.columns)
        ]
        self._refused: list[Refusal] = []

    def render(self, changes: list[Change], newest: set[int]) -> list[bytes]:
        """Each change as a parenthesised row. Raises RefusedChanges."""
        rows: list[bytes] = []
        for start in range(0, len(changes), _SLICE_ROWS):
            part = changes[start : start + _SLICE_ROWS]
            rows += self._by_columns(part, newest) or [self._row(change, newest) for change in part]
        if self._refused:
            raise RefusedChanges(self._refused)
        return rows

    def _by_columns(self, changes: list[Change], newest: set[int]) -> list[bytes] | None:
        """The rows of changes, rendered a column at a time; None when each has to be looked at."""
        values = [change.values for change in changes if change.values is not None]
        if not self._columns or len(values) < len(changes):
            return None
        try:
            columns = [self._column(*each) for each in enumerate(zip(*values, strict=True))]
            if any(NULL in columns[position] for position in self._key_positions):
                return None
            rows = [
                f"({','.join(literals)},{_control(change, newest)})".encode()
                for change, literals in zip(changes, zip(*columns, strict=True), strict=True)
            ]
        except (Unfit, UnicodeEncodeError):
            return None
        return rows if max(map(len, rows)) <= ROW_BYTES else None

    def _column(self, position: int, values: Values) -> list[str]:
        plainly, literal = self._columns[position], self._literalizers[position]
        literals = plainly(values) if plainly is not None else None
        if literals is None:
            literals = [NULL if text is None else literal(text) for text in values]
        return literals

    def _row(self, change: Change, newest: set[int]) -> bytes:
        values = change.values or (None,) * len(self._literalizers)
        try:
            literals = [
                NULL if text is None else literal(text)
                for literal, text in zip(self._literalizers, values, strict=True)
            ]
            row = f"({','.join(literals)},{_control(change, newest)})".encode()
        except (Unfit, UnicodeEncodeError) as error:
            self._refused.append(self._explained(change, error))
            return b""
        if change.values is not None and any(values[position] is None for position in self._key_positions):
            self._refused.append(refusal(self._table, change, "a part of the key is NULL"))
        if len(row) > ROW_BYTES:
            reason = f"{len(row)} bytes as SQL are more than a statement may have"
            self._refused.append(refusal(self._table, change, reason))
        return row

    def _explained(self, change: Change, error: Exception) -> Refusal:
        """The refusal with the column that is to blame: looked for again, for this is the rare case."""
        values = change.values or ()
        for column, literal, text in zip(self._table.columns, self._literalizers, values, strict=False):
            try:
                if text is not None:
                    literal(text).encode()
            except (Unfit, UnicodeEncodeError) as reason:
                return refusal(self._table, change, str(reason), column.name)
        return refusal(self._table, change, str(error))


def _control(change: Change, newest: set[int]) -> str:
    """The values of a staged row that are the pipeline's own."""
    deleted, first = (
        "true" if flag else "false" for flag in (change.clause == "DELETE", id(change) in newest)
    )
    return f"{change.version},{deleted},{first}"


def _create(name: Sql, table: TableChanges, shape: Shape, is_copied: bool) -> Sql:
    """Placed and sorted as the target is, so that the merge finds equal keys side by side."""
    kinds = {folded(column.name): shape.columns[folded(column.name)] for column in table.columns}
    if is_copied:
        kinds = {name: STRING if kind.family in _CALLS else kind for name, kind in kinds.items()}
    columns = [sql("{column} {kind}", column=quoted(column), kind=kind.sql) for column, kind in kinds.items()]
    key = [folded(column) for column in table.key]
    return sql(
        """create temp table {name}
            ({columns}, "_version" bigint, "_deleted" boolean, "_newest" boolean) {placement}""",
        name=name,
        columns=joined(columns),
        placement=placement(kinds, key[0], key),
    )


def insert_head(name: Sql, table: TableChanges) -> bytes:
    """What stands before the rows of an insert into a staging table."""
    return sql(
        'insert into {name} ({columns}, "_version", "_deleted", "_newest") values ',
        name=name,
        columns=listed(column.name for column in table.columns),
    ).encode()


def parts(rows: Sequence[bytes], most: int) -> Iterator[list[bytes]]:
    """Rows in runs of at most so many bytes, commas included, unless one row alone is longer."""
    gathered: list[bytes] = []
    size = 0
    for row in rows:
        if gathered and size + len(row) + 1 > most:
            yield gathered
            gathered, size = [], 0
        gathered.append(row)
        size += len(row) + 1
    if gathered:
        yield gathered


def messages(statements: list[bytes]) -> Iterator[list[bytes]]:
    """Statements in runs that fit one message each."""
    gathered: list[bytes] = []
    size = 0
    for statement in statements:
        if gathered and size + len(statement) + 2 > MESSAGE_BYTES:
            yield gathered
            gathered, size = [], 0
        gathered.append(statement)
        size += len(statement) + 2
    if gathered:
        yield gathered
