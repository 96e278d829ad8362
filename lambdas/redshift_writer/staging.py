"""The changes of one target as rows of a temporary table, written as literals.

Every value is checked on the way, so that what Redshift would refuse is known by table, column and key.
"""

from collections.abc import Iterator

import msgspec

from pgevents.batch import Change, TableChanges, Values, newest_by_key
from pgevents.config import Policies
from pgevents.errors import TerminalError
from redshift_writer.identifiers import folded, listed, quoted
from redshift_writer.literals import NULL, Literalizer, Quoting, Unfit, literalizer
from redshift_writer.shapes import Shape, placement
from redshift_writer.sql import Sql, joined, sql

STATEMENT_BYTES = 2 * 1024 * 1024
"""Where an insert is cut. The server takes 16 MB, but its leader parses each statement as a whole."""
MESSAGE_BYTES = 15 * 1024 * 1024
"""Where a message of several statements is cut: its limit is 16 MB."""
_NAMED_REFUSALS = 5


class Staged(msgspec.Struct, frozen=True):
    """A target's changes, ready to be sent.

    name: the temporary table's. statements: what makes and fills it, none when there is nothing to stage.
    newest: how many rows are the newest of their key, and how many of these are deletions. rows: all of them.
    first_version: the least version of all rows. truncated: the version of the last TRUNCATE, 0 without one.
    """

    name: Sql
    table: TableChanges
    shape: Shape
    statements: list[bytes]
    rows: int
    newest: int
    deletions: int
    first_version: int
    truncated: int

    @property
    def columns(self) -> list[str]:
        """The names of the user's columns that these changes carry."""
        return [column.name for column in self.table.columns]


def stage(number: int, table: TableChanges, shape: Shape, policies: Policies, quoting: Quoting) -> Staged:
    """Renders a target's changes.

    Raises TerminalError that names the table, the column and the key of the first values that cannot go.
    """
    truncated, newest = newest_by_key(table)
    rows = list(newest.values()) if table.mode == "mirror" else _distinct(table)
    kept = {id(change) for change in newest.values()}
    name = quoted(f"pgevents_stage_{number}")
    statements: list[bytes] = []
    if rows:
        rendered = _Renderer(table, shape, policies, quoting).render(rows, kept)
        statements = [_create(name, table, shape).encode(), *_inserts(name, table, rendered)]
    return Staged(
        name=name,
        table=table,
        shape=shape,
        statements=statements,
        rows=len(rows),
        newest=len(newest),
        deletions=sum(change.clause == "DELETE" for change in newest.values()),
        first_version=min((change.version for change in rows), default=0),
        truncated=truncated,
    )


def _distinct(table: TableChanges) -> list[Change]:
    """Each version of a key once a clause, the last one where a transform made several."""
    positions = table.key_positions()
    distinct: dict[tuple[Values | None, int, str], Change] = {}
    for change in table.changes:
        key = None if change.values is None else tuple(change.values[position] for position in positions)
        distinct[key, change.version, change.clause] = change
    return list(distinct.values())


class _Renderer:
    def __init__(self, table: TableChanges, shape: Shape, policies: Policies, quoting: Quoting) -> None:
        self._table = table
        self._key_positions = table.key_positions()
        self._literalizers: list[Literalizer] = [
            literalizer(
                column.type,
                shape.columns[folded(column.name)],
                policies,
                quoting,
                position in self._key_positions,
            )
            for position, column in enumerate(table.columns)
        ]
        self._refused: list[str] = []

    def render(self, changes: list[Change], newest: set[int]) -> Iterator[bytes]:
        """Each change as a parenthesised row. All are rendered before the first is handed out."""
        rows = [self._row(change, id(change) in newest) for change in changes]
        if self._refused:
            more = len(self._refused) - _NAMED_REFUSALS
            named = "; ".join(self._refused[:_NAMED_REFUSALS]) + (f"; and {more} more" if more > 0 else "")
            raise TerminalError(
                f"{len(self._refused)} of {len(changes)} changes for {self._table.target} cannot go to "
                f"Redshift: {named}. The [policies] in pipeline.toml say what becomes of such values"
            )
        return iter(rows)

    def _row(self, change: Change, newest: bool) -> bytes:
        values = change.values or (None,) * len(self._literalizers)
        try:
            literals = [
                NULL if text is None else literal(text)
                for literal, text in zip(self._literalizers, values, strict=True)
            ]
            if change.values is not None:
                self._require_key(change.values)
        except Unfit as unfit:
            self._refuse(change, unfit)
            return b""
        deleted = "true" if change.clause == "DELETE" else "false"
        row = f"({','.join(literals)},{change.version},{deleted},{'true' if newest else 'false'})"
        try:
            return row.encode()
        except UnicodeEncodeError as error:
            self._refuse(change, Unfit("malformed", f"text that is not Unicode: {error.reason}"))
            return b""

    def _require_key(self, values: Values) -> None:
        if any(values[position] is None for position in self._key_positions):
            raise Unfit("malformed", "a part of the key is NULL")

    def _refuse(self, change: Change, unfit: Unfit) -> None:
        values = change.values or ()
        key = ", ".join(
            f"{self._table.columns[position].name}={values[position]!r}" for position in self._key_positions
        )
        self._refused.append(
            f"{self._guilty_column(change)} of key ({key}) at version {change.version}: {unfit}"
        )

    def _guilty_column(self, change: Change) -> str:
        for column, literal, text in zip(
            self._table.columns, self._literalizers, change.values or (), strict=False
        ):
            try:
                if text is not None:
                    literal(text).encode()
            except (Unfit, UnicodeEncodeError):
                return column.name
        return "the row"


def _create(name: Sql, table: TableChanges, shape: Shape) -> Sql:
    """Placed and sorted as the target is, so that the merge finds equal keys side by side."""
    kinds = {folded(column.name): shape.columns[folded(column.name)] for column in table.columns}
    columns = [sql("{column} {kind}", column=quoted(column), kind=kind.sql) for column, kind in kinds.items()]
    key = [folded(column) for column in table.key]
    return sql(
        """create temp table {name}
            ({columns}, "_version" bigint, "_deleted" boolean, "_newest" boolean) {placement}""",
        name=name,
        columns=joined(columns),
        placement=placement(kinds, key[0], key),
    )


def _inserts(name: Sql, table: TableChanges, rows: Iterator[bytes]) -> Iterator[bytes]:
    """Multi-row inserts of at most STATEMENT_BYTES each, unless one row alone is longer."""
    columns = listed(column.name for column in table.columns)
    head = sql(
        'insert into {name} ({columns}, "_version", "_deleted", "_newest") values ',
        name=name,
        columns=columns,
    ).encode()
    gathered: list[bytes] = []
    size = len(head)
    for row in rows:
        if gathered and size + len(row) + 1 > STATEMENT_BYTES:
            yield head + b",".join(gathered)
            gathered, size = [], len(head)
        if len(head) + len(row) > MESSAGE_BYTES:
            raise TerminalError(
                f"a row for {table.target} has {len(row)} bytes as SQL, more than a statement may"
            )
        gathered.append(row)
        size += len(row) + 1
    if gathered:
        yield head + b",".join(gathered)


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
