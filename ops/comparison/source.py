"""What every target must hold: a captured table's rows as they stand, through the team's own transforms."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import psycopg
from psycopg import sql

from ops.comparison import keyset
from ops.comparison.canonical import printed_sql
from ops.comparison.place import TargetShape
from pgevents.batch import Column, Values
from pgevents.config import Pipeline, Route, Table
from pgevents.errors import InputError
from pgevents.event import EventType
from pgevents.transforms import transform_for
from transform.routing import TableRouter
from transform.sinks.postgres_tables import UNSIZED
from transform.source import copy_text
from transform.source.captured import OutboxRow, TableRows

PAGE_ROWS = 5_000
PAGE_BYTES = 4 * 1024 * 1024
"""What a page of rows is kept to, by the size of the rows in the page before."""
_FIRST_PAGE_ROWS = 200


class Expected(NamedTuple):
    """A row that a target must hold: as the transform wrote it and as PostgreSQL prints that, and the key of
    the source row that it is made of."""

    target: int
    source_key: Values
    written: Values
    printed: Values


class Failed(NamedTuple):
    """A source row that does not go through its transform, by its key, and why."""

    source_key: Values
    error: str


class Made(NamedTuple):
    """What some source rows come to."""

    expected: list[Expected]
    failed: list[Failed]


class SourceTable:
    """A captured table of a source. The connection is in autocommit mode and prints as the outbox does."""

    def __init__(self, pipeline: Pipeline, source: str, table: Table, connection: psycopg.Connection) -> None:
        self.name = f"{source}.{table.table}"
        self.source = source
        self.table = table.table
        self.connection = connection
        self._pipeline = pipeline
        connection.execute(keyset.SESSION)
        self._read_layout()
        self.is_transformed = transform_for(self.name, EventType.SNAPSHOT) is not None
        targets = self._router([]).targets
        self.routes: list[Route] = [target.route for target in targets]
        self.shapes = [
            TargetShape(target.route.target_name, target.route.mode, target.columns, target.key)
            for target in targets
        ]
        self._reprinted = [self._needs_printing(shape) for shape in self.shapes]

    def keeps_keys(self, target: int) -> bool:
        """Whether a row of this target has the key of its source row: its origin is known by its key."""
        key = [(column.name, column.type) for column in self.shapes[target].key_columns]
        own = [
            (name, "text" if kind == "bpchar" else kind)
            for name, kind in zip(self.key, self._key_types, strict=True)
        ]
        return not self.is_transformed and key == own

    def pages(self, position: Values) -> Iterator[tuple[Made, Values, int]]:
        """What the rows behind a key come to, with the key of the last of them and how many they are."""
        limit = _FIRST_PAGE_ROWS
        while True:
            rows, size = self._page(position, limit)
            if not rows:
                return
            position = self._key_of(rows[-1])
            yield self._made(rows), position, len(rows)
            if len(rows) < limit:
                return
            limit = max(1, min(PAGE_ROWS, PAGE_BYTES * len(rows) // size))

    def look_up(self, keys: Sequence[Values]) -> tuple[str, Made]:
        """What the rows with these keys come to now, and the snapshot that they were read in."""
        self.connection.execute("begin isolation level repeatable read read only")
        try:
            row = self.connection.execute("select pg_current_snapshot()::text").fetchone()
            rows = self._rows_of(keys)
            return str(row[0] if row else ""), self._made(rows)
        finally:
            self.connection.execute("rollback")

    def _rows_of(self, keys: Sequence[Values]) -> list[list[str | None]]:
        known = list(dict.fromkeys(keys))
        if not known:
            return []
        try:
            with self.connection.transaction():
                return self._copied(self._look_up_query(known))[0]
        except psycopg.DataError:
            # A key that is no value of its type, as a stray row's may be in Redshift, is no row's here.
            if len(known) == 1:
                return []
            middle = len(known) // 2
            return self._rows_of(known[:middle]) + self._rows_of(known[middle:])

    def _look_up_query(self, keys: Sequence[Values]) -> sql.Composed:
        return sql.SQL(
            "select t.* from {} cross join lateral (select {} from {} as t where {} offset 0) as t"
        ).format(
            keyset.wanted(self._key_columns, keys),
            self._values,
            self._relation,
            keyset.same_key(self._key_columns, "t"),
        )

    def _page(self, position: Values, limit: int) -> tuple[list[list[str | None]], int]:
        return self._copied(
            sql.SQL("select {} from {} as t where {} order by {} limit {}").format(
                self._values,
                self._relation,
                keyset.behind(self._key_columns, position),
                keyset.names(self._key_columns, "t"),
                sql.Literal(limit),
            )
        )

    def _copied(self, query: sql.Composable) -> tuple[list[list[str | None]], int]:
        """The rows of a query, and how many bytes they have as text."""
        with (
            self.connection.cursor() as cursor,
            cursor.copy(sql.SQL("copy ({}) to stdout").format(query)) as copy,
        ):
            copied = b"".join(bytes(block) for block in copy)
        return copy_text.rows(copied), len(copied)

    def _made(self, rows: Sequence[Sequence[str | None]]) -> Made:
        router, nothing = self._router([]), (None,) * len(self.columns)
        written: list[tuple[int, Values, Values]] = []
        failed: list[Failed] = []
        for row in rows:
            values, key = tuple(row), self._key_of(row)
            router.take(OutboxRow("S", 0, "0", "1970-01-01 00:00:00+00", nothing, values))
            for number, target in enumerate(router.targets):
                written += [(number, key, change.values) for change in target.changes if change.values]
                target.changes.clear()
            if router.dead:
                failed.append(Failed(key, router.dead.pop().error))
        return Made(list(self._printed(written)), failed)

    def _printed(self, written: list[tuple[int, Values, Values]]) -> Iterator[Expected]:
        for number, shape in enumerate(self.shapes):
            rows = [(key, values) for target, key, values in written if target == number]
            printed: Iterator[Values] = (values for _, values in rows)
            if rows and self._reprinted[number]:
                printed = self._as_printed(shape.columns, [values for _, values in rows])
            for (key, values), as_printed in zip(rows, printed, strict=True):
                yield Expected(number, key, values, as_printed)

    def _as_printed(self, columns: tuple[Column, ...], rows: list[Values]) -> Iterator[Values]:
        """The rows with every value as PostgreSQL prints it: a transform may write 1E+2 where PostgreSQL
        says 100."""
        places = [sql.Identifier(f"c{position}") for position in range(len(columns))]
        values = (
            printed_sql(sql.SQL("u.{}::{}").format(place, sql.SQL(column.type)), column.type)
            for place, column in zip(places, columns, strict=True)
        )
        query = sql.SQL("select {} from unnest({}) as u ({})").format(
            sql.SQL(", ").join(values),
            sql.SQL(", ").join(
                sql.SQL("{}::text[]").format(sql.Literal(list(column))) for column in zip(*rows, strict=True)
            ),
            sql.SQL(", ").join(places),
        )
        return iter(self.connection.execute(query).fetchall())

    def _needs_printing(self, shape: TargetShape) -> bool:
        captured = dict(zip(self.columns, self._types, strict=True))
        retyped = any(captured.get(column.name, "") not in ("", column.type) for column in shape.columns)
        return self.is_transformed or retyped

    def _router(self, rows: list[OutboxRow]) -> TableRouter:
        captured = TableRows(self.table, self.key, self.columns, self._types, rows)
        return TableRouter(self._pipeline, self.source, 0, captured, {})

    def _key_of(self, row: Sequence[str | None]) -> Values:
        return tuple(row[position] for position in self._key_positions)

    def _read_layout(self) -> None:
        found = self.connection.execute(_LAYOUT, (self.table,)).fetchone()
        if found is None:
            database = self.connection.info.dbname
            raise InputError(f"{self.table} is not captured in {database}; install capture first")
        relation, key, key_types, columns, types, values = found
        self.key: tuple[str, ...] = tuple(key)
        self.columns: tuple[str, ...] = tuple(columns)
        self._types: tuple[str, ...] = tuple(types)
        self._relation = sql.SQL(relation)
        self._values = sql.SQL(values)
        self._key_columns = [
            Column(name, UNSIZED.get(kind, kind)) for name, kind in zip(key, key_types, strict=True)
        ]
        self._key_positions = tuple(self.columns.index(name) for name in self.key)
        self._key_types = tuple(self._types[position] for position in self._key_positions)


# The values as the outbox keeps them. The key's own types, for its index.
_LAYOUT = """
select
    format('%%I.%%I', n.nspname, r.relname),
    c.key,
    (
        select array_agg(format_type(a.atttypid, null) order by k.position)
        from unnest(c.key) with ordinality as k (name, position)
        inner join pg_catalog.pg_attribute as a on a.attrelid = c.relation and a.attname = k.name
    ),
    l.columns,
    l.types,
    pgevents.values_sql(c, 't', '%%1$s', true)
from pgevents.captured_table as c
inner join pgevents.layout as l using (table_id)
inner join pg_catalog.pg_class as r on r.oid = c.relation
inner join pg_catalog.pg_namespace as n on n.oid = r.relnamespace
where c.name = %s and c.ended is null and not l.retired
"""
