"""The statements that bring a target to its changes, whatever order the changes come in.

Values travel as one text[] a column and are cast on the server, so that nothing reads them in between.
Every statement is guarded by version: it takes effect only where what it would replace is older. The caller
holds the target's lock, so what one statement sees stays true for the next.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from psycopg import sql

from pgevents.batch import Change, TableChanges, newest_by_key
from pgevents.refusals import Refusal, refusal
from transform.sinks.postgres_tables import Cursor, Shape, Tables, history_name, quoted, tombstone_name

# Two texts of these types are equal exactly when their values are. numeric is not among them (1.0 = 1.00),
# nor are interval, citext or jsonb: there a batch may hold one row under two texts.
EXACT_KEYS = frozenset(
    {"smallint", "integer", "bigint", "text", "character varying", "uuid", "boolean", "bytea", "date"}
    | {"timestamp without time zone", "timestamp with time zone"}
)

TRUNCATE = """
with watermark as (
    insert into {bookkeeping} as known (target, truncated) values (%s, %s)
    on conflict (target) do update set truncated = greatest(known.truncated, excluded.truncated)
),
tombstones as (
    delete from {tombstones} where _version < %s
)
delete from {target} where _version < %s
"""

DELETE = """
with incoming as (select {distinct} {casts}, incoming._version from {incoming} {newest_first}),
tombstones as (
    insert into {tombstones} as known ({key}, _version)
    select {key}, _version from incoming
    on conflict ({key}) do update set _version = excluded._version, _deleted_at = excluded._deleted_at
    where known._version < excluded._version
)
delete from {target} as known
using incoming
where {same_key} and known._version < incoming._version
"""

UPSERT = """
with incoming as (select {distinct} {casts}, incoming._version from {incoming} {newest_first})
insert into {target} as known ({columns}, _version)
select {columns}, _version from incoming
where
    _version > coalesce((select truncated from {bookkeeping} where target = %s), 0)
    and not exists (
        select from {tombstones} as known
        where {same_key} and known._version >= incoming._version
    )
on conflict ({key}) do update set {assignments}
where known._version < excluded._version
"""

REMEMBER = """
insert into {history} ({columns}, _clause, _version)
select {casts}, incoming._clause, incoming._version from {incoming}
on conflict ({key}, _version) do nothing
"""

REMEMBER_TRUNCATION = """
insert into {history} (_clause, _version)
select 'DELETE', %(version)s
where not exists (select from {history} where _version = %(version)s and {keyless})
"""

CUTS = """
select incoming._place, case {cases} end
from (select *, row_number() over () as _place from {incoming}) as incoming
where {conditions}
order by 1
"""


class Merge:
    """The statements of one target, made from its changes' columns and its tables' shapes."""

    def __init__(self, table: TableChanges, schema: str, bookkeeping: sql.Composable, tables: Tables) -> None:
        self.table = table
        self._bookkeeping = bookkeeping
        self._tables = tables
        self._target = quoted(schema, table.target)
        self._tombstones = quoted(schema, tombstone_name(table.target))
        self._history = quoted(schema, history_name(table.target))
        self.names = [column.name for column in table.columns]

    def _statement(self, name: str, made: Callable[[], sql.Composed]) -> bytes:
        table = self.table
        return self._tables.statement((name, table.target, table.key, table.columns), made)

    def write(self, cursor: Cursor, changes: list[Change]) -> int:
        """Bring the target to these changes of it; returns how many rows took an effect."""
        if not changes:
            return 0
        written = self._remember(cursor, changes) if self.table.mode != "mirror" else 0
        return written if self.table.mode == "history" else written + self._mirror(cursor, changes)

    def shapes(self) -> list[Shape]:
        """The columns of each table that rows are written to: the target, its history, or both."""
        names = [self.table.target] if self.table.mode != "history" else []
        names += [history_name(self.table.target)] if self.table.mode != "mirror" else []
        return [self._tables.shape(name) for name in names]

    def cuts(self, cursor: Cursor, changes: Sequence[Change]) -> list[Refusal]:
        """The changes with a value that a column of the user's own making would round or cut.

        PostgreSQL rounds to numeric(12,2) or timestamp(0) without a word, so it is asked first.
        """
        rows = [change for change in changes if change.clause == "INSERT" and change.values is not None]
        found = (self._cuts(cursor, *shape, rows) for shape in enumerate(self.shapes()) if rows)
        return next(filter(None, found), [])

    def _cuts(self, cursor: Cursor, position: int, shape: Shape, rows: Sequence[Change]) -> list[Refusal]:
        if not any(shape[name].is_modified() for name in self.names):
            return []
        statement = self._statement(f"cuts {position}", partial(self._made_cuts, shape))
        found = cursor.execute(statement, [*_transposed(rows, range(len(self.names))), _versions(rows)])
        return [self._cut(rows[int(str(place)) - 1], int(str(column)), shape) for place, column in found]

    def _made_cuts(self, shape: Shape) -> sql.Composed:
        cut = {name: _is_cut(name, shape) for name in self.names if shape[name].is_modified()}
        return sql.SQL(CUTS).format(
            cases=sql.SQL(" ").join(
                sql.SQL("when {} then {}").format(test, sql.Literal(self.names.index(name)))
                for name, test in cut.items()
            ),
            conditions=sql.SQL(" or ").join(cut.values()),
            incoming=_incoming(self.names),
        )

    def _cut(self, change: Change, column: int, shape: Shape) -> Refusal:
        name = self.names[column]
        reason = f"the value does not fit {shape[name].declared} without loss"
        return refusal(self.table, change, reason, name)

    def _mirror(self, cursor: Cursor, changes: list[Change]) -> int:
        truncated, newest = newest_by_key(_with_changes(self.table, changes))
        deletions = [change for change in newest.values() if change.clause == "DELETE"]
        insertions = [change for change in newest.values() if change.clause == "INSERT"]
        written = self._truncate(cursor, truncated) if truncated else 0
        written += self._delete(cursor, deletions) if deletions else 0
        return written + (self._upsert(cursor, insertions) if insertions else 0)

    def _truncate(self, cursor: Cursor, version: int) -> int:
        statement = self._statement(
            "truncate",
            lambda: sql.SQL(TRUNCATE).format(
                bookkeeping=self._bookkeeping, tombstones=self._tombstones, target=self._target
            ),
        )
        return cursor.execute(statement, [self.table.target, version, version, version]).rowcount

    def _delete(self, cursor: Cursor, deletions: list[Change]) -> int:
        key = list(self.table.key)
        statement = self._statement("delete", lambda: sql.SQL(DELETE).format(**self._parts(key)))
        columns = _transposed(deletions, self.table.key_positions())
        return cursor.execute(statement, [*columns, _versions(deletions)]).rowcount

    def _upsert(self, cursor: Cursor, insertions: list[Change]) -> int:
        statement = self._statement("upsert", self._made_upsert)
        columns = _transposed(insertions, range(len(self.names)))
        return cursor.execute(statement, [*columns, _versions(insertions), self.table.target]).rowcount

    def _made_upsert(self) -> sql.Composed:
        changing = [name for name in (*self.names, "_version") if name not in self.table.key]
        return sql.SQL(UPSERT).format(
            columns=_list(self.names),
            bookkeeping=self._bookkeeping,
            assignments=sql.SQL(", ").join(
                sql.SQL("{0} = excluded.{0}").format(quoted(name)) for name in changing
            ),
            **self._parts(self.names),
        )

    def _parts(self, columns: list[str]) -> dict[str, sql.Composable]:
        """What the statements on the target and its tombstones have in common."""
        shape = self._tables.shape(self.table.target)
        distinct, newest_first = sql.Composed([]), sql.Composed([])
        if any(shape[name].type not in EXACT_KEYS for name in self.table.key):
            key = _casts(self.table.key, shape)
            distinct = sql.SQL("distinct on ({})").format(key)
            newest_first = sql.SQL("order by {}, incoming._version desc").format(key)
        return {
            "target": self._target,
            "tombstones": self._tombstones,
            "key": _list(self.table.key),
            "casts": _casts(columns, shape),
            "incoming": _incoming(columns),
            "distinct": distinct,
            "newest_first": newest_first,
            "same_key": sql.SQL(" and ").join(
                sql.SQL("known.{0} = incoming.{0}").format(quoted(name)) for name in self.table.key
            ),
        }

    def _remember(self, cursor: Cursor, changes: list[Change]) -> int:
        rows = [change for change in changes if change.values is not None]
        written = 0
        if rows:
            statement = self._statement("remember", self._made_remember)
            columns = _transposed(rows, range(len(self.names)))
            clauses = [change.clause for change in rows]
            written = cursor.execute(statement, [*columns, clauses, _versions(rows)]).rowcount
        truncations = [change.version for change in changes if change.values is None]
        return written + sum(self._remember_truncation(cursor, version) for version in truncations)

    def _made_remember(self) -> sql.Composed:
        return sql.SQL(REMEMBER).format(
            history=self._history,
            key=_list(self.table.key),
            columns=_list(self.names),
            casts=_casts(self.names, self._tables.shape(history_name(self.table.target))),
            incoming=_incoming([*self.names, "_clause"]),
        )

    def _remember_truncation(self, cursor: Cursor, version: int) -> int:
        statement = sql.SQL(REMEMBER_TRUNCATION).format(
            history=self._history,
            keyless=sql.SQL(" and ").join(
                sql.SQL("{} is null").format(quoted(name)) for name in self.table.key
            ),
        )
        return cursor.execute(statement, {"version": version}).rowcount


def _with_changes(table: TableChanges, changes: list[Change]) -> TableChanges:
    return TableChanges(table.target, table.mode, table.sinks, table.key, table.columns, changes)


def _list(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(quoted, names))


def _casts(names: Iterable[str], shape: Shape) -> sql.Composed:
    """Each column cast to the type of its column in the table: incoming."balance"::numeric, ..."""
    return sql.SQL(", ").join(
        sql.SQL("incoming.{}::{}").format(quoted(name), sql.SQL(shape[name].type)) for name in names
    )


def _is_cut(name: str, shape: Shape) -> sql.Composed:
    return sql.SQL("(incoming.{0}::{1} is distinct from incoming.{0}::{1}::{2})").format(
        quoted(name), sql.SQL(shape[name].type), sql.SQL(shape[name].declared)
    )


def _incoming(names: Sequence[str]) -> sql.Composed:
    """The parameters as rows. In binary form: as text, psycopg takes four times as long over them."""
    return sql.SQL("unnest({}, %b::bigint[]) as incoming ({}, _version)").format(
        sql.SQL(", ").join([sql.SQL("%b::text[]")] * len(names)), _list(names)
    )


def _transposed(changes: Sequence[Change], positions: Iterable[int]) -> list[list[str | None]]:
    """One list a column, of the columns at these positions."""
    columns = list(zip(*(change.values or () for change in changes), strict=True))
    return [list(columns[position]) for position in positions]


def _versions(changes: Sequence[Change]) -> list[int]:
    return [change.version for change in changes]
