"""What an installation would change in a source: read from the catalog, with nothing locked."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, LiteralString, cast

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from db_triggers.installer import Wake
from db_triggers.migrations import FOLDER
from db_triggers.preflight import problems
from ops.plan.difference import Difference
from ops.plan.functions import query_of, released
from pgevents.config import Route, Source, Table

_SHOWN = 3
_EVENT_TRIGGERS = ("pgevents_follow_ddl", "pgevents_follow_drop")


class Columns(msgspec.Struct, frozen=True):
    """A captured table's key and columns, name → type as the outbox keeps it."""

    key: tuple[str, ...]
    columns: dict[str, str]


def capture_differences(
    connection: psycopg.Connection,
    name: str,
    source: Source,
    wake: Wake | None,
    routes: Sequence[Route] = (),
) -> list[Difference]:
    """Everything that installing the source `name` would do, and every reason why it could not.

    `routes` are all of pipeline.toml's.
    The connection's role is the one that installs. Without a `wake` what the doorbell calls is not compared.
    """
    with connection.transaction():
        connection.execute("set transaction read only")
        connection.execute(_LOCK_TIMEOUT)
        found = list(_blocked(connection, name, source, routes))
        if not _one(connection, "select to_regclass('pgevents.captured_table')"):
            return [*found, *_everything(connection, name, source)]
        found += _schema(connection, name)
        found += _settings(connection, name, source, wake)
        if missing := missing_event_triggers(connection):
            found.append(event_triggers_to_add(name, missing))
        return [*found, *_tables(connection, name, source)]


def captured_columns(connection: psycopg.Connection, table: Table) -> Columns | None:
    """Key and columns as they would be captured now; None when there is no such table."""
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(_SHAPE, {"table": table.table, "exclude": list(table.exclude)}).fetchone()
    if found is None:
        return None
    return Columns(
        table.key or tuple(found["primary_key"]), dict(zip(found["columns"], found["types"], strict=True))
    )


def _blocked(
    connection: psycopg.Connection, name: str, source: Source, routes: Sequence[Route]
) -> Iterator[Difference]:
    offered = _one(connection, "select name from pg_available_extensions where name = 'aws_lambda'")
    for problem in problems(connection, name, source, routes):
        if offered and problem.startswith("the extension aws_lambda is missing"):
            yield Difference("add", name, "extension aws_lambda, which the deployment creates")
        else:
            yield Difference("blocked", name, problem)


def _everything(connection: psycopg.Connection, name: str, source: Source) -> Iterator[Difference]:
    yield Difference(
        "add", name, f"schema pgevents: {len(_migrations())} migrations, {len(released())} functions"
    )
    yield Difference(
        "add", name, f"event triggers {' and '.join(_EVENT_TRIGGERS)}; doorbell {source.doorbell}"
    )
    for table in source.tables:
        yield from _new_table(connection, name, table)


def _new_table(connection: psycopg.Connection, name: str, table: Table) -> Iterator[Difference]:
    parts = _one(connection, _PARTS, {"table": table.table})
    if parts is None:  # there is no such table, which has been said
        return
    partitions = f" and on its {parts} partitions" if parts else ""
    what = f"triggers for INSERT, UPDATE, DELETE and TRUNCATE{partitions}"
    yield Difference("add", f"{name}.{table.table}", what)


def _migrations() -> list[str]:
    return sorted(path.name for path in (FOLDER / "migrations").glob("*.sql"))


def _schema(connection: psycopg.Connection, name: str) -> Iterator[Difference]:
    present = [str(row[0]) for row in connection.execute("select name from pgevents.migration").fetchall()]
    if missing := [each for each in _migrations() if each not in present]:
        yield Difference("change", name, f"schema pgevents: migrations {', '.join(missing)}")
    if unknown := sorted(set(present) - set(_migrations())):
        what = f"holds migration {unknown[-1]}, which this version does not know"
        yield Difference("blocked", name, f"{what}; use the version that installed it")
    bodies = set(connection.execute(_FUNCTIONS).fetchall())
    names = {row[0] for row in bodies}
    stale = sorted({each.name for each in released() if tuple(each) not in bodies})
    new = [each for each in stale if each not in names]
    changed = [each for each in stale if each in names]
    for action, functions in (("add", new), ("change", changed)):
        if functions:
            yield Difference(cast(Any, action), name, f"functions of the schema pgevents: {_some(functions)}")


def _settings(
    connection: psycopg.Connection, name: str, source: Source, wake: Wake | None
) -> Iterator[Difference]:
    row = connection.execute(
        "select source, doorbell, function_name, region from pgevents.setting"
    ).fetchone()
    present = row or ("", "", "", "")
    wanted = {"source": name, "doorbell": source.doorbell}
    if wake is not None:
        wanted |= {"function": wake.function_name, "region": wake.region}
    for (setting, value), now in zip(wanted.items(), present, strict=False):
        if value != now:
            yield Difference("change", name, f"setting {setting}: {now or 'none'} becomes {value}")


def missing_event_triggers(connection: psycopg.Connection) -> list[str]:
    """Those by which capture follows changes of its tables that are not there, or do not always fire."""
    rows = connection.execute("select evtname from pg_event_trigger where evtenabled = 'A'").fetchall()
    return sorted(set(_EVENT_TRIGGERS) - {row[0] for row in rows})


def event_triggers_to_add(name: str, missing: Sequence[str]) -> Difference:
    """What an installation in the source `name` would do about them."""
    return Difference("add", name, f"event triggers {', '.join(missing)}, which fire always")


def _tables(connection: psycopg.Connection, name: str, source: Source) -> Iterator[Difference]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_CAPTURED).fetchall()
    present = {row["name"]: row for row in rows}
    for table in source.tables:
        row = present.pop(table.table, None)
        if row is None:
            yield from _new_table(connection, name, table)
        else:
            yield from _changes(connection, f"{name}.{table.table}", table, row)
    for left in sorted(present):
        yield Difference("remove", f"{name}.{left}", "its triggers: it is no longer in pipeline.toml")


def _changes(
    connection: psycopg.Connection, where: str, table: Table, row: Mapping[str, Any]
) -> Iterator[Difference]:
    shape = captured_columns(connection, table)
    if shape is None:
        return
    if row["relation"] != _one(connection, _OID, {"table": table.table}):
        yield Difference("change", where, "its triggers: another table has its name now")
        return
    wanted = {"key": list(shape.key), "exclude": list(table.exclude), "publish": table.publish}
    for setting, value in wanted.items():
        if row[setting] != value:
            yield Difference("change", where, f"{setting}: {_shown(row[setting])} becomes {_shown(value)}")
    yield from _outbox(where, shape, row)
    if missing := row["missing"]:
        yield Difference("add", where, f"triggers {_some(missing)}, missing or disabled")


def _outbox(where: str, shape: Columns, row: Mapping[str, Any]) -> Iterator[Difference]:
    before = dict(zip(row["columns"] or [], row["types"] or [], strict=True))
    for action, names in (
        ("add", [each for each in shape.columns if each not in before]),
        ("remove", [each for each in before if each not in shape.columns]),
        ("change", [each for each, kind in shape.columns.items() if before.get(each, kind) != kind]),
    ):
        if names:
            yield Difference(cast(Any, action), where, f"captured columns {_some(names)}")


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _shown(value: object) -> str:
    if isinstance(value, list):
        return f"({', '.join(value)})"
    return str(value).lower()


def _one(
    connection: psycopg.Connection, query: LiteralString, parameters: Mapping[str, object] | None = None
) -> Any:
    row = connection.execute(query, parameters).fetchone()
    return row[0] if row else None


# To look at a partitioned table waits for whoever alters it.
_LOCK_TIMEOUT = "set local lock_timeout = '3s'"

_FUNCTIONS = """
select proname::text, prosrc from pg_proc where pronamespace = 'pgevents'::regnamespace
"""

_OID = """
select c.oid from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = split_part(%(table)s, '.', 1) and c.relname = split_part(%(table)s, '.', 2)
"""

_PARTS = """
select (select count(*) from pg_partition_tree(c.oid) as p where p.relid <> c.oid)
from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = split_part(%(table)s, '.', 1) and c.relname = split_part(%(table)s, '.', 2)
"""

# The outbox's types come from the function that makes the outbox, run as a query: it may not be there yet.
_SHAPE = sql.SQL(
    """
select
    array_agg(shape.name) as columns, array_agg(shape.type) as types,
    coalesce((
        select array_agg(a.attname::text order by part.position)
        from pg_index as i
        cross join unnest(i.indkey) with ordinality as part (attnum, position)
        inner join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = part.attnum
        where i.indrelid = argument.relation and i.indisprimary
    ), '{{}}') as primary_key
from (
    select c.oid as relation, %(exclude)s::text[] as exclude
    from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace
    where n.nspname = split_part(%(table)s, '.', 1) and c.relname = split_part(%(table)s, '.', 2)
) as argument
cross join lateral ({body}) as shape (name, type, printed)
group by argument.relation
"""
).format(body=sql.SQL(query_of("outbox_columns")))

_CAPTURED = """
select
    c.name, c.relation, c.key, c.exclude, c.publish, l.columns, l.types,
    array(
        select lower(replace(event.name, '_', ' ')) || ' on ' || p.part
        from pgevents.table_parts(c.relation) as p
        cross join unnest(pgevents.capture_events()) as event (name)
        where pgevents.trigger_sql(c, p.part, p.is_leaf, event.name) is not null
            and not exists (
                select from pg_trigger as t
                where t.tgrelid = p.part and t.tgenabled = 'A'
                    and t.tgname = '!pgevents_' || lower(event.name)
            )
    ) as missing
from pgevents.captured_table as c
left join pgevents.layout as l on l.table_id = c.table_id and not l.retired
where c.ended is null
"""
