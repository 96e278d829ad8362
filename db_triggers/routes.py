"""What a route says of a table's columns, held against the table itself."""

from collections.abc import Collection, Iterator, Sequence

import psycopg

from pgevents.config import Route, Source, Table
from pgevents.config.checks import RESERVED_COLUMNS


def route_problems(
    connection: psycopg.Connection, name: str, source: Source, routes: Sequence[Route]
) -> Iterator[str]:
    """Every reason why a route of this source cannot be followed, each a line: where, what, what to do.

    `routes` are all of pipeline.toml's. A table that is missing, which another check names, is passed over.
    """
    tables = {f"{name}.{table.table}": table for table in source.tables}
    for position, route in enumerate(routes):
        table = tables.get(route.table)
        if table is None:
            continue
        row = connection.execute(_COLUMNS, {"table": table.table}).fetchone()
        if row is not None:
            for problem in _problems(route, table, row[0], row[1]):
                yield f"routes[{position}].{problem}"


def _problems(
    route: Route, table: Table, present: Sequence[str], primary_key: Sequence[str]
) -> Iterator[str]:
    captured = [column for column in present if column not in table.exclude]
    key = route.key or table.key or primary_key
    for position, column in enumerate(route.omit):
        if column in table.exclude:
            yield f"omit[{position}]: {column} is excluded from capture already; remove it from omit"
        elif column not in captured:
            yield f"omit[{position}]: {_unknown(table, column, captured)}"
        elif column in key:
            yield f"omit[{position}]: {column} is part of the key of {table.table}, which cannot be left out"
    for position, column in enumerate(route.key):
        if column not in captured and column not in route.columns:
            yield (
                f"key[{position}]: {_unknown(table, column, captured)}, "
                "or a column that a transform adds: declare it in columns"
            )
    for column in captured:
        if column in RESERVED_COLUMNS and column not in route.omit:
            yield f"omit: {table.table} has a column {column}, a name that the sinks keep; omit it"


def _unknown(table: Table, column: str, expected: Collection[str]) -> str:
    return f"{table.table} has no captured column {column}; expected one of {', '.join(sorted(expected))}"


_COLUMNS = """
select
    array(
        select a.attname::text from pg_attribute as a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum
    ),
    array(
        select a.attname::text
        from pg_index as i
        inner join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
        where i.indrelid = c.oid and i.indisprimary
    )
from pg_class as c
inner join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = split_part(%(table)s, '.', 1) and c.relname = split_part(%(table)s, '.', 2)
"""
