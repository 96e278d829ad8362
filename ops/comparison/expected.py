"""What every target must hold: the source's rows as they stand, through the team's own transforms."""

from collections.abc import Iterator

import msgspec
import psycopg
from psycopg import sql

from pgevents.batch import Column, Values
from pgevents.config import Pipeline, Table
from pgevents.errors import InputError
from transform import copy_text
from transform.outbox import OutboxRow, TableRows
from transform.routing import TableRouter

# As the outbox is printed: equal values have equal text then.
SESSION = """
select
    set_config('datestyle', 'ISO', false), set_config('timezone', 'UTC', false),
    set_config('intervalstyle', 'iso_8601', false), set_config('bytea_output', 'hex', false)
"""


_CHUNK_ROWS = 5_000


class Content(msgspec.Struct, frozen=True):
    """The rows of one target: their columns in order, the key's columns, and key → values in PostgreSQL's
    text."""

    target: str
    sinks: tuple[str, ...]
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    rows: dict[Values, Values]


def expected_contents(pipeline: Pipeline, source: str, connection: psycopg.Connection) -> Iterator[Content]:
    """Every target of a source with the rows that it must hold.

    Raises InputError when a row cannot go through its transform: the target cannot be known then.
    """
    connection.execute(SESSION)
    for table in pipeline.sources[source].tables:
        yield from _contents_of(pipeline, source, table, connection)


def _contents_of(
    pipeline: Pipeline, source: str, table: Table, connection: psycopg.Connection
) -> Iterator[Content]:
    router = TableRouter(pipeline, source, 0, _rows(connection, table), {})
    for row in router.rows.rows:
        router.take(row)
    if router.dead:
        dead = router.dead[0]
        raise InputError(
            f"{source}.{table.table}: row {dead.keys[0]} does not go through its transform: {dead.error}"
        )
    for target in router.targets:
        made = [change.values for change in target.changes if change.values is not None]
        rows = {target.key_of(values): values for values in _as_printed(connection, target.columns, made)}
        yield Content(target.route.target_name, target.route.sinks, target.columns, target.key, rows)


def _as_printed(
    connection: psycopg.Connection, columns: tuple[Column, ...], rows: list[Values]
) -> Iterator[Values]:
    """The rows with every value as PostgreSQL prints it: a transform may write 1E+2 where PostgreSQL says
    100."""
    parts = sql.SQL(", ").join(
        sql.SQL("(u.{}::{})::text").format(sql.Identifier(f"c{position}"), sql.SQL(column.type))
        for position, column in enumerate(columns)
    )
    names = sql.SQL(", ").join(sql.Identifier(f"c{position}") for position in range(len(columns)))
    arrays = sql.SQL(", ").join(sql.SQL("%s::text[]") for _ in columns)
    query = sql.SQL("select {} from unnest({}) as u ({})").format(parts, arrays, names)
    for start in range(0, len(rows), _CHUNK_ROWS):
        chunk = rows[start : start + _CHUNK_ROWS]
        yield from connection.execute(query, [list(column) for column in zip(*chunk, strict=True)])


def _rows(connection: psycopg.Connection, table: Table) -> TableRows:
    layout = connection.execute(
        "select c.relation::regclass::text, c.key, l.columns, l.types from pgevents.captured_table as c"
        " inner join pgevents.layout as l using (table_id)"
        " where c.name = %s and c.ended is null and not l.retired",
        (table.table,),
    ).fetchone()
    if layout is None:
        raise InputError(f"{table.table} is not captured in {connection.info.dbname}; install capture first")
    relation, key, columns, types = layout
    values = sql.SQL(", ").join(
        sql.SQL("{}::{}").format(sql.Identifier(name), sql.SQL(kind))
        for name, kind in zip(columns, types, strict=True)
    )
    query = sql.SQL("copy (select {} from {}) to stdout").format(values, sql.SQL(relation))
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        copied = b"".join(bytes(block) for block in copy)
    nothing: Values = (None,) * len(columns)
    rows = [
        OutboxRow("S", 0, 0, "1970-01-01 00:00:00+00", nothing, tuple(fields))
        for fields in copy_text.rows(copied)
    ]
    return TableRows(table.table, tuple(key), tuple(columns), tuple(types), rows)
