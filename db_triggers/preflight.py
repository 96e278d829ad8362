"""What must be true of a database before anything is installed in it."""

from collections.abc import Iterator, Sequence
from typing import LiteralString

import psycopg
from psycopg.rows import dict_row

from db_triggers.routes import route_problems
from pgevents.config import Route, Source, Table

_OLDEST_RELEASE = 15
_MAX_COLUMNS = 1_600
_OUTBOX_OWN_COLUMNS = 4


def problems(
    connection: psycopg.Connection, name: str, source: Source, routes: Sequence[Route] = ()
) -> list[str]:
    """Every reason why the source cannot be captured, or one of `routes` cannot be followed from it.

    `routes` are all of pipeline.toml's. Each reason is a line: what, where, what to do.
    """
    found = list(_server_problems(connection, source))
    for position, table in enumerate(source.tables):
        where = f"sources.{name}.tables[{position}]"
        found += [f"{where}: {problem}" for problem in _table_problems(connection, table)]
    return [*found, *route_problems(connection, name, source, routes)]


def _server_problems(connection: psycopg.Connection, source: Source) -> Iterator[str]:
    release, role, database = connection.info.server_version // 10_000, *_who_and_where(connection)
    if release < _OLDEST_RELEASE:
        yield f"PostgreSQL {release} is too old; expected {_OLDEST_RELEASE} or newer"
    if source.doorbell == "notify" and not _one(connection, _HAS_NOTIFY):
        yield "the function pg_notify does not exist; choose another doorbell"
    if source.doorbell == "invoke":
        yield from _invoke_problems(connection, role)
    if not _one(connection, "select has_database_privilege(current_database(), 'CREATE')"):
        yield f"role {role} may not create a schema in {database}; grant create on database"
    if not _one(connection, _MAY_CREATE_EVENT_TRIGGER):
        yield f"role {role} may not create event triggers; install as rds_superuser (on RDS) or a superuser"
    if owner := _one(connection, _STRANGE_OWNER):
        yield f"the schema pgevents belongs to {owner}; drop it, or install as {owner}"


def _invoke_problems(connection: psycopg.Connection, role: str) -> Iterator[str]:
    if not _one(connection, _HAS_AWS_LAMBDA):
        yield "the extension aws_lambda is missing; run: create extension aws_lambda cascade"
    elif not _one(connection, _MAY_INVOKE):
        yield (
            f"role {role} may not call aws_lambda.invoke; grant usage on schema aws_lambda "
            "and execute on all functions in it"
        )


def _table_problems(connection: psycopg.Connection, table: Table) -> Iterator[str]:
    role, database = _who_and_where(connection)
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(_TABLE, {"table": table.table}).fetchone()
    if found is None:
        yield f"table {table.table} does not exist in {database}; create it or correct the name"
        return
    if found["kind"] not in ("r", "p"):
        yield f"{table.table} is not a table; only ordinary and partitioned tables can be captured"
        return
    if not found["owned"]:
        yield f"role {role} does not own {table.table} and all its partitions; install as their owner"
    yield from _column_problems(table, found["names"], found["has_primary_key"])
    for fact, message in _REFUSED.items():
        if found[fact]:
            yield message.format(table=table.table, fact=found[fact])


def _column_problems(table: Table, names: list[str], has_primary_key: bool) -> Iterator[str]:
    captured = len(set(names) - set(table.exclude))
    if 2 * captured + _OUTBOX_OWN_COLUMNS > _MAX_COLUMNS:
        most = (_MAX_COLUMNS - _OUTBOX_OWN_COLUMNS) // 2
        yield f"{table.table} has {captured} columns; at most {most} can be captured: exclude some"
    if not table.key and not has_primary_key:
        yield f"{table.table} has no primary key; name the columns of its key: key = [...]"
    for column in [*table.key, *table.exclude]:
        if column not in names:
            yield f"{table.table} has no column {column}; expected one of {', '.join(sorted(names))}"


def _who_and_where(connection: psycopg.Connection) -> tuple[str, str]:
    return str(_one(connection, "select current_user")), connection.info.dbname


def _one(connection: psycopg.Connection, query: LiteralString) -> object:
    row = connection.execute(query).fetchone()
    return row[0] if row else None


_HAS_NOTIFY = "select proname from pg_proc where proname = 'pg_notify'"

_HAS_AWS_LAMBDA = """
select true
from pg_proc
where proname = 'invoke' and pronamespace = to_regnamespace('aws_lambda')
limit 1
"""

_MAY_INVOKE = """
select bool_and(has_schema_privilege(pronamespace, 'usage') and has_function_privilege(oid, 'execute'))
from pg_proc
where proname = 'invoke' and pronamespace = to_regnamespace('aws_lambda')
"""

_MAY_CREATE_EVENT_TRIGGER = """
select true
from pg_roles
where pg_has_role(current_user, oid, 'usage') and (rolsuper or rolname = 'rds_superuser')
limit 1
"""

# Whoever owns the schema can put functions of his own into it, and capture would run them with its rights.
_STRANGE_OWNER = """
select r.rolname
from pg_namespace as n
inner join pg_roles as r on r.oid = n.nspowner
where n.nspname = 'pgevents' and r.rolname <> current_user and not r.rolsuper
    and not exists (
        select from pg_roles as s where s.rolname = 'rds_superuser' and pg_has_role(r.oid, s.oid, 'usage')
    )
"""

# Names as pipeline.toml has them: exactly as PostgreSQL stores them, not folded.
_TABLE = """
select
    c.relkind::text as kind,
    (
        select bool_and(pg_has_role(p.relowner, 'usage'))
        from pg_class as p
        where p.oid = c.oid or p.oid in (select relid from pg_partition_tree(c.oid))
    ) as owned,
    exists (select from pg_index as i where i.indrelid = c.oid and i.indisprimary) as has_primary_key,
    (select array_agg(a.attname::text) from pg_attribute as a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as names,
    case when c.relispartition then pg_partition_root(c.oid)::regclass::text end as root,
    exists (
        select from pg_inherits as i
        where (i.inhrelid = c.oid or i.inhparent = c.oid) and not c.relispartition and c.relkind = 'r'
    ) as inherits,
    (
        select min(p.relid::regclass::text) from pg_partition_tree(c.oid) as p
        inner join pg_class as f on f.oid = p.relid and f.relkind = 'f'
    ) as foreign_partition,
    exists (select from pg_subscription_rel as s where s.srrelid = c.oid) as subscribed,
    (c.relrowsecurity and c.relforcerowsecurity and not (
        select r.rolsuper or r.rolbypassrls from pg_roles as r where r.rolname = current_user
    )) as hidden_rows
from pg_class as c
inner join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = split_part(%(table)s, '.', 1) and c.relname = split_part(%(table)s, '.', 2)
"""

_REFUSED = {
    "root": "{table} is a partition, and what is written through {fact} would not be seen; capture {fact}",
    "inherits": "{table} inherits or is inherited from, and a change may reach it through the other table; "
    "only partitions are followed",
    "foreign_partition": "{table} has the foreign partition {fact}, which no trigger can capture; detach it",
    "subscribed": "{table} is filled by a subscription, which fires no statement triggers; "
    "capture it in the database that publishes it",
    "hidden_rows": "{table} forces row security on its owner; install as a role with bypassrls",
}
