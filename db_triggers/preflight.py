"""What must be true of a database before anything is installed in it."""

from collections.abc import Iterator

import psycopg

from pgevents.config import Source, Table

_MAX_COLUMNS = 1_600
_OUTBOX_OWN_COLUMNS = 4


def problems(connection: psycopg.Connection, name: str, source: Source) -> list[str]:
    """Every reason why the source cannot be captured, each a line: what, where, what to do."""
    found = list(_server_problems(connection, source))
    for position, table in enumerate(source.tables):
        where = f"sources.{name}.tables[{position}]"
        found += [f"{where}: {problem}" for problem in _table_problems(connection, table)]
    return found


def _server_problems(connection: psycopg.Connection, source: Source) -> Iterator[str]:
    if connection.info.server_version < 150000:
        yield f"PostgreSQL {connection.info.server_version // 10000} is too old; expected 15 or newer"
    if source.doorbell == "notify" and not _one(connection, _HAS_NOTIFY):
        yield "the function pg_notify does not exist; choose another doorbell"
    if source.doorbell == "invoke" and not _one(connection, _HAS_AWS_LAMBDA):
        yield "the extension aws_lambda is missing; run: create extension aws_lambda cascade"
    if not _one(connection, "select has_database_privilege(current_database(), 'CREATE') or null"):
        yield (
            f"role {connection.info.user} may not create a schema in {connection.info.dbname}; "
            "grant create on database"
        )
    if not _one(connection, _MAY_CREATE_EVENT_TRIGGER):
        yield (
            f"role {connection.info.user} may not create event triggers; "
            "install as rds_superuser (on RDS) or a superuser"
        )


def _table_problems(connection: psycopg.Connection, table: Table) -> Iterator[str]:
    found = connection.execute(_TABLE, {"table": table.table}).fetchone()
    if found is None:
        yield f"table {table.table} does not exist in {connection.info.dbname}; create it or correct the name"
        return
    kind, owned, columns, primary_key, names = found
    if kind not in ("r", "p"):
        yield f"{table.table} is not a table; only ordinary and partitioned tables can be captured"
    if not owned:
        yield f"role {connection.info.user} does not own {table.table}; install as its owner"
    if 2 * columns + _OUTBOX_OWN_COLUMNS > _MAX_COLUMNS:
        most = (_MAX_COLUMNS - _OUTBOX_OWN_COLUMNS) // 2
        yield f"{table.table} has {columns} columns; at most {most} can be captured"
    if not table.key and not primary_key:
        yield f"{table.table} has no primary key; name the columns of its key: key = [...]"
    for column in [*table.key, *table.exclude]:
        if column not in names:
            yield f"{table.table} has no column {column}; expected one of {', '.join(sorted(names))}"


def _one(connection: psycopg.Connection, query: str) -> object:
    row = connection.execute(query).fetchone()
    return row[0] if row else None


_HAS_NOTIFY = "select proname from pg_proc where proname = 'pg_notify'"
_HAS_AWS_LAMBDA = "select to_regproc('aws_commons.create_lambda_function_arn')"

_MAY_CREATE_EVENT_TRIGGER = """
select true
from pg_roles
where pg_has_role(current_user, oid, 'member') and (rolsuper or rolname = 'rds_superuser')
limit 1
"""

# Names as pipeline.toml has them: exactly as PostgreSQL stores them, not folded.
_TABLE = """
select
    c.relkind::text,
    pg_has_role(c.relowner, 'member'),
    (select count(*) from pg_attribute as a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
    exists (select from pg_index as i where i.indrelid = c.oid and i.indisprimary),
    (select array_agg(a.attname::text) from pg_attribute as a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)
from pg_class as c
inner join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = split_part(%(table)s, '.', 1) and c.relname = split_part(%(table)s, '.', 2)
"""
