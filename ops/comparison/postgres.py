"""What a PostgreSQL sink holds, hashed where it lies: of a row only its key, version and hash travel."""

import json
from collections.abc import Callable, Iterator, Sequence

import psycopg
from psycopg import sql

from ops.comparison import keyset
from ops.comparison.canonical import Form, Forms, as_it_is, digest_sql, number, printed_sql, truth
from ops.comparison.place import NEVER, Page, Seen, Since, State, TargetShape, key_hash
from pgevents.batch import Column, Values
from transform.sinks.postgres_tables import UNSIZED, history_name, tombstone_name

PAGE_ROWS = 10_000

_SHAPE = """
select a.attname, format_type(a.atttypid, null), format_type(a.atttypid, a.atttypmod)
from pg_catalog.pg_attribute as a
inner join pg_catalog.pg_class as c on c.oid = a.attrelid
inner join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = %s and a.attnum > 0 and not a.attisdropped
"""


class PostgresPlace:
    """The current rows of a target, or the newest of each key in its history, in one schema of a sink."""

    def __init__(
        self,
        connection: psycopg.Connection,
        sink: str,
        schema: str,
        shape: TargetShape,
        *,
        history: bool = False,
    ) -> None:
        self.sink = sink
        self.shape = shape
        self.table = history_name(shape.name) if history else shape.name
        self._connection = connection
        self._schema = schema
        self._is_history = history
        connection.execute(keyset.SESSION)
        self._held: dict[str, tuple[str, str]] = {
            name: (UNSIZED.get(str(kind), str(kind)), declared)
            for name, kind, declared in connection.execute(_SHAPE, (schema, self.table)).fetchall()
        }
        # What somebody else has made, and no batch has reached yet, is not the pipeline's to compare.
        self._keeps_books = "_version" in self._held and self._exists("pgevents_target")
        values, forms = zip(*(self._column(column) for column in shape.columns), strict=True)
        self.forms = Forms(forms)
        self._values: tuple[sql.Composable, ...] = values
        self._rest = [values[position] for position in shape.rest_positions]
        self._key = [Column(column.name, self._held_type(column)) for column in shape.key_columns]

    def scan(self, position: str, since: Since) -> Iterator[Page]:
        """See Place. Deleted rows are in it only with `since`, and in a history."""
        if not self._keeps_books:
            return
        reached, last = _position_of(position)
        for at, part in enumerate(self._parts(since.version)):
            if at < reached:
                continue
            while rows := self._page(part(last)):
                last = rows[-1].key
                yield Page(rows, _position_at(at, last), len(rows))
                if len(rows) < PAGE_ROWS:
                    break
            last = ()

    def look_up(self, keys: Sequence[Values]) -> dict[bytes, State]:
        """See Place."""
        if not self._keeps_books or not keys:
            return {}
        with self._connection.transaction():
            emptied = self._emptied()
            if self._is_history:
                return self._states(keys, self._newest_sql(), emptied)
            absent = {key_hash(self, key): State(emptied, None) for key in keys}
            gone = {
                hash_: State(max(state.version, emptied), None)
                for hash_, state in self._states(keys, self._tombstone_sql(), NEVER).items()
            }
            return absent | gone | self._states(keys, self._row_sql(), NEVER)

    def _parts(self, since: int) -> list[Callable[[Values], sql.Composed]]:
        """What is read one after the other: queries for the rows behind a key."""
        if self._is_history:
            emptied = self._emptied()
            return [lambda last: self._histories_behind(last, since, emptied)]
        rows = [lambda last: self._rows_behind(last, since, self.table, digest_sql(self._rest))]
        if since:
            nothing = sql.SQL("null::bytea")
            gone = tombstone_name(self.table)
            rows.append(lambda last: self._rows_behind(last, since, gone, nothing))
        return rows

    def _rows_behind(self, last: Values, since: int, table: str, digest: sql.Composable) -> sql.Composed:
        return sql.SQL(
            "select {}, {} as digest, _version from {} as t where _version >= {} and {}"
            " order by {} limit {}"
        ).format(
            self._printed_key(), digest, self._name(table), sql.Literal(since),
            keyset.behind(self._key, last), keyset.names(self._key, "t"), sql.Literal(PAGE_ROWS),
        )  # fmt: skip

    def _histories_behind(self, last: Values, since: int, emptied: int) -> sql.Composed:
        return sql.SQL(
            "select distinct on ({0}) {1}, case when _clause = 'INSERT' and _version > {2} then {3} end,"
            " _version from {4} as t where _version >= {5} and {6} is not null and {7}"
            " order by {0}, _version desc limit {8}"
        ).format(
            keyset.names(self._key, "t"), self._printed_key(), sql.Literal(emptied),
            digest_sql(self._rest), self._name(self.table), sql.Literal(since),
            sql.Identifier("t", self._key[0].name), keyset.behind(self._key, last), sql.Literal(PAGE_ROWS),
        )  # fmt: skip

    def _page(self, query: sql.Composed) -> list[Seen]:
        return [
            Seen(key_hash(self, key), key, int(version), None if digest is None else bytes(digest))
            for *parts, digest, version in self._connection.execute(query)
            for key in [tuple(parts)]
        ]

    def _states(self, keys: Sequence[Values], row: sql.Composed, emptied: int) -> dict[bytes, State]:
        """What a lateral query `t` (is there a row, its version, its values) finds under each key."""
        query = sql.SQL("select w.place, t.* from {} cross join lateral ({}) as t").format(
            keyset.wanted(self._key, keys), row
        )
        found: dict[bytes, State] = {}
        for place, is_there, version, *values in self._connection.execute(query):
            hash_ = key_hash(self, keys[place - 1])
            if is_there and version > emptied:
                rest = self.forms.of(self._spread(values), self.shape.rest_positions)
                found[hash_] = State(version, rest)
            else:
                found[hash_] = State(max(version, emptied), None)
        return found

    def _spread(self, rest: list[str | None]) -> list[str | None]:
        """The values outside the key at their places among all columns."""
        row: list[str | None] = [None] * len(self.shape.columns)
        for position, value in zip(self.shape.rest_positions, rest, strict=True):
            row[position] = value
        return row

    def _row_sql(self) -> sql.Composed:
        return self._looked_up(sql.SQL("true"), self.table, sql.SQL("offset 0"))

    def _newest_sql(self) -> sql.Composed:
        newest = sql.SQL("order by _version desc limit 1")
        return self._looked_up(sql.SQL("_clause = 'INSERT'"), self.table, newest)

    def _looked_up(self, is_there: sql.Composable, table: str, end: sql.Composable) -> sql.Composed:
        values = sql.SQL("").join(sql.SQL(", {}").format(value) for value in self._rest)
        return sql.SQL("select {}, _version{} from {} as t where {} {}").format(
            is_there, values, self._name(table), keyset.same_key(self._key, "t"), end
        )

    def _tombstone_sql(self) -> sql.Composed:
        return sql.SQL("select false, _version from {} as t where {} offset 0").format(
            self._name(tombstone_name(self.table)), keyset.same_key(self._key, "t")
        )

    def _emptied(self) -> int:
        """The version of the newest truncation that the target knows, or NEVER."""
        if self._is_history:
            query = sql.SQL("select max(_version) from {} as t where {} is null").format(
                self._name(self.table), sql.Identifier("t", self._key[0].name)
            )
        else:
            query = sql.SQL("select max(truncated) from {} where target = {}").format(
                self._name("pgevents_target"), sql.Literal(self.shape.name)
            )
        row = self._connection.execute(query).fetchone()
        return int(row[0] or NEVER) if row else NEVER

    def _exists(self, table: str) -> bool:
        name = self._name(table).as_string(self._connection)
        return self._connection.execute("select to_regclass(%s)", (name,)).fetchone() != (None,)

    def _printed_key(self) -> sql.Composed:
        return sql.SQL(", ").join(
            printed_sql(sql.Identifier("t", column.name), column.type) for column in self._key
        )

    def _name(self, table: str) -> sql.Identifier:
        return sql.Identifier(self._schema, table)

    def _held_type(self, column: Column) -> str:
        return self._held[column.name][0] if column.name in self._held else column.type

    def _column(self, column: Column) -> tuple[sql.Composable, Form]:
        """How a column is read as text, and the form that this text has to be brought to at the source."""
        name = sql.Identifier("t", column.name)
        if column.name not in self._held:
            return sql.SQL("null::text"), as_it_is
        kind, declared = self._held[column.name]
        if column.type == "boolean":
            return printed_sql(name, kind), truth
        if column.type == "numeric" and (kind, declared) != ("numeric", "numeric"):
            # A column of the user's own making prints 1.50 for 1.5.
            return sql.SQL("trim_scale({}::numeric)::text").format(name), number
        return printed_sql(name, kind), number if self._is_inexact_key(column) else as_it_is

    def _is_inexact_key(self, column: Column) -> bool:
        """Whether one key may have several texts: 1.0 stays 1.0 in the sink when the source makes it 1.00."""
        return column.type == "numeric" and column.name in self.shape.key


def _position_at(part: int, last: Values) -> str:
    return json.dumps([part, *last])


def _position_of(position: str) -> tuple[int, Values]:
    part, *last = json.loads(position or "[0]")
    return part, tuple(last)
