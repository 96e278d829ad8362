"""What Redshift holds. Its rows travel: how it prints floats and documents no hash of its own would tell."""

import json
from collections.abc import Iterator, Sequence

from ops.comparison.canonical import (
    Forms,
    hashed,
)
from ops.comparison.place import NEVER, Page, Seen, Since, State, TargetShape, key_hash
from ops.comparison.redshift_forms import read_form, source_form
from ops.warehouse import open_warehouse
from pgevents.batch import Column, Values
from pgevents.config import Policies
from redshift_writer.connect import Session
from redshift_writer.control_tables import TRUNCATION
from redshift_writer.identifiers import folded, qualified, quoted
from redshift_writer.literals import literalizer
from redshift_writer.shapes import HISTORY_SUFFIX, VERSIONS_SUFFIX
from redshift_writer.sql import Sql, joined, sql
from redshift_writer.types import RedshiftType, for_postgres, from_catalog

PAGE_ROWS = 5_000
_LOOKED_UP_AT_ONCE = 250
_END = "end"
# Floats with all of their digits, and moments as the source prints them.
_SESSION = b"set extra_float_digits to 2; set timezone to 'UTC'"


def open_redshift(dsn: str) -> Session:
    """A session that prints values as the comparison reads them. Raises as `open_warehouse` does."""
    session = open_warehouse(dsn)
    session.run(_SESSION)
    return session


class RedshiftPlace:
    """The living rows of a target, or the newest of each key in its history, in one schema."""

    def __init__(
        self,
        session: Session,
        sink: str,
        schema: str,
        shape: TargetShape,
        policies: Policies,
        *,
        history: bool = False,
    ) -> None:
        self.sink = sink
        self.shape = shape
        self.table = shape.name + (HISTORY_SUFFIX if history else "")
        self._session = session
        self._schema = schema
        self._is_history = history
        self._name = qualified(schema, self.table if history else shape.name + VERSIONS_SUFFIX)
        self._held = self._columns_held(self.table if history else shape.name + VERSIONS_SUFFIX)
        self.forms = Forms(
            tuple(
                source_form(
                    column,
                    self._type_held(column),
                    policies,
                    session.quoting,
                    is_key=column.name in shape.key,
                )
                for column in shape.columns
            )
        )
        self._read_forms = Forms(tuple(read_form(column) for column in shape.columns))
        self._rest = [shape.columns[position] for position in shape.rest_positions]

    def scan(self, position: str, since: Since) -> Iterator[Page]:
        """See Place. Deleted rows are in it only with `since`, and in a history."""
        if not self._held or position == _END:
            return
        emptied = self._emptied()
        last: Values = tuple(json.loads(position)) if position else ()
        for end in [*self._page_ends(last), ()]:
            within = joined([*self._behind(last), *self._up_to(end), self._lives(since.version)], " and ")
            rows = self._session.run(self._rows(within)).rows
            last = end
            yield Page(
                [self._seen(row, emptied) for row in rows], json.dumps(end) if end else _END, len(rows)
            )

    def look_up(self, keys: Sequence[Values]) -> dict[bytes, State]:
        """See Place."""
        if not self._held or not keys:
            return {}
        emptied = self._emptied()
        states = {key_hash(self, key): State(emptied, None) for key in keys}
        found: set[bytes] = set()
        for start in range(0, len(keys), _LOOKED_UP_AT_ONCE):
            some = joined((self._is(key) for key in keys[start : start + _LOOKED_UP_AT_ONCE]), " or ")
            for row in self._session.run(self._rows(sql("({some})", some=some))).rows:
                hash_, state = self._state(row, emptied)
                if state.values is None and hash_ in found:
                    continue
                copies = states[hash_].copies + 1 if state.values is not None and hash_ in found else 1
                states[hash_] = State(state.version, state.values, copies)
                if state.values is not None:
                    found.add(hash_)
        return states

    def _page_ends(self, last: Values) -> list[Values]:
        """The last key of every page behind a key, in Redshift's own order; the very last page has none."""
        key = self._key_list()
        rows = self._session.run(
            sql(
                """select {key} from (
                    select {key}, row_number() over (order by {key}) as "!row" from {name} where {within}
                ) as numbered where mod("!row", {page}) = 0 order by {key}""",
                key=key,
                name=self._name,
                within=joined([*self._behind(last), self._has_key()], " and "),
                page=PAGE_ROWS,
            )
        ).rows
        return [self._key_of(row) for row in rows]

    def _rows(self, within: Sql) -> Sql:
        """The key, whether there is a row, the version and the values of the newest rows within a range."""
        columns = joined([self._key_list(), *(self._read(column) for column in self._rest)])
        parts = {"columns": columns, "name": self._name, "within": within, "key": self._key_list()}
        if not self._is_history:
            return sql(
                'select case when "_deleted" then 0 else 1 end, "_version", {columns} from {name}'
                " where {within}",
                **parts,
            )
        return sql(
            """select "!there", "_version", {outer} from (
                select case when "_clause" = 'INSERT' then 1 else 0 end as "!there", "_version", {columns},
                    row_number() over (partition by {key} order by "_version" desc) as "!age"
                from {name} where {within} and {has_key}
            ) as aged where "!age" = 1""",
            outer=joined([self._key_list(), *(quoted(column.name) for column in self._rest)]),
            has_key=self._has_key(),
            **parts,
        )

    def _lives(self, since: int) -> Sql:
        if since:
            return sql('"_version" >= {since}', since=since)
        return sql("1 = 1") if self._is_history else sql('not "_deleted"')

    def _seen(self, row: Sequence[str | None], emptied: int) -> Seen:
        hash_, state = self._state(row, emptied)
        digest = None if state.values is None else hashed(state.values)
        return Seen(hash_, self._key_of(row[2:]), state.version, digest)

    def _state(self, row: Sequence[str | None], emptied: int) -> tuple[bytes, State]:
        there, version = row[0] == "1", int(str(row[1]))
        key = row[2 : 2 + len(self.shape.key)]
        hash_ = key_hash(self, self._key_of(key))
        if not there or (self._is_history and version <= emptied):
            return hash_, State(max(version, emptied), None)
        values = row[2 + len(key) :]
        whole: list[str | None] = [None] * len(self.shape.columns)
        for position, value in zip(self.shape.rest_positions, values, strict=True):
            whole[position] = value
        return hash_, State(version, self._read_forms.of(whole, self.shape.rest_positions))

    def _emptied(self) -> int:
        """The version of the newest truncation that the target knows, or NEVER."""
        if self._is_history:
            query = sql(
                'select max("_version") from {name} where {first} is null',
                name=self._name,
                first=quoted(self.shape.key[0]),
            )
        else:
            query = sql(
                "select max(version) from {truncation} where target = {target}",
                truncation=qualified(self._schema, TRUNCATION),
                target=self._session.quoting.string(self.shape.name),
            )
        return int(self._session.run(query).rows[0][0] or NEVER)

    def _behind(self, last: Values) -> list[Sql]:
        return [self._ordered(last, ">", ">")] if last else []

    def _up_to(self, end: Values) -> list[Sql]:
        return [self._ordered(end, "<", "<=")] if end else []

    def _ordered(self, key: Values, before: str, at_last: str) -> Sql:
        """Rows behind or before a key: Redshift compares no tuples. The first column stands alone besides, so
        that its sort key can leave out blocks."""
        operators = {"<": sql("<"), "<=": sql("<="), ">": sql(">")}
        literals = self._literals(key)
        whole = sql("")
        for position in reversed(range(len(literals))):
            name = quoted(self.shape.key[position])
            is_last = position == len(literals) - 1
            parts = {"name": name, "value": literals[position]}
            if is_last:
                whole = sql("{name} {sign} {value}", sign=operators[at_last], **parts)
            else:
                whole = sql(
                    "{name} {sign}= {value} and ({name} {sign} {value} or ({whole}))",
                    sign=operators[before],
                    whole=whole,
                    **parts,
                )
        return sql("({whole})", whole=whole)

    def _is(self, key: Values) -> Sql:
        return sql(
            "({parts})",
            parts=joined(
                (
                    sql("{name} = {value}", name=quoted(name), value=value)
                    for name, value in zip(self.shape.key, self._literals(key), strict=True)
                ),
                " and ",
            ),
        )

    def _literals(self, key: Values) -> list[Sql]:
        quoting = self._session.quoting
        return [
            Sql(
                literalizer(column.type, self._type_held(column), Policies(), quoting, is_key=True)(str(text))
            )
            for column, text in zip(self.shape.key_columns, key, strict=True)
        ]

    def _key_list(self) -> Sql:
        return joined(quoted(name) for name in self.shape.key)

    def _key_of(self, row: Sequence[str | None]) -> Values:
        forms = self._read_forms.columns
        return tuple(
            None if text is None else forms[position](text)
            for position, text in zip(self.shape.key_positions, row, strict=False)
        )

    def _has_key(self) -> Sql:
        return sql("{first} is not null", first=quoted(self.shape.key[0]))

    def _read(self, column: Column) -> Sql:
        name = quoted(column.name)
        if folded(column.name) not in self._held:
            return sql("null as {name}", name=name)
        if for_postgres(column.type) == RedshiftType("float", 32):
            return sql("{name}::float8 as {name}", name=name)
        return name

    def _type_held(self, column: Column) -> RedshiftType:
        return from_catalog(self._held.get(folded(column.name), "")) or for_postgres(column.type)

    def _columns_held(self, table: str) -> dict[str, str]:
        """The table's columns and their types; empty while it has not been made."""
        rows = self._session.run(
            sql(
                """select attribute.attname::varchar,
                    format_type(attribute.atttypid, attribute.atttypmod)::varchar
                from pg_catalog.pg_class relation
                join pg_catalog.pg_namespace namespace on namespace.oid = relation.relnamespace
                join pg_catalog.pg_attribute attribute on attribute.attrelid = relation.oid
                where namespace.nspname = {schema} and relation.relname = {table}
                    and attribute.attnum > 0 and not attribute.attisdropped""",
                schema=self._session.quoting.string(folded(self._schema)),
                table=self._session.quoting.string(folded(table)),
            )
        ).rows
        return {str(name): str(kind) for name, kind in rows}
