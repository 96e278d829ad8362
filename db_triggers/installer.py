"""Installs, upgrades and removes capture in a source database: one transaction, under a lock.

Safe to run again and to run at once from many places: the second one finds the work done.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import LiteralString

import msgspec
import psycopg
from psycopg import sql

from db_triggers.migrations import migrate
from db_triggers.preflight import problems
from pgevents.config import Doorbell, Route, Source, Table
from pgevents.errors import InputError

_INSTALL_LOCK = 1885828471
_LOCK_TIMEOUT = "10s"


class Installed(msgspec.Struct, frozen=True):
    """What an installation changed: migrations applied, tables newly captured and tables no longer
    captured."""

    migrations: list[str]
    captured: list[str]
    ended: list[str]


class Wake(msgspec.Struct, frozen=True):
    """How the doorbell reaches the transform Lambda: its name or ARN, and the region it is in."""

    function_name: str
    region: str


def install(
    connection: psycopg.Connection, name: str, source: Source, wake: Wake, routes: Sequence[Route] = ()
) -> Installed:
    """Brings the capture of a database in line with pipeline.toml.

    `name` is the source's name there, `routes` are all that it has: they are held against the tables too. The
    connection's role owns the tables and may create event triggers.
    Raises InputError, with nothing changed, when a pre-flight check fails or a table stays locked for 10 s.
    """
    with _one_at_a_time(connection, name):
        if found := problems(connection, name, source, routes):
            raise InputError(f"{name}: " + "; ".join(found))
        _hold_still(connection, source.tables)
        migrations = migrate(connection)
        _set(connection, name, source.doorbell, wake)
        connection.execute("select pgevents.keep_identity()")
        ended = _end_captures(connection, {table.table for table in source.tables})
        captured = _capture(connection, source.tables)
        _follow_ddl(connection)
        return Installed(migrations, captured, ended)


def uninstall(connection: psycopg.Connection) -> None:
    """Removes every trigger, function and table of the schema pgevents, events not yet applied included.

    Raises InputError, with nothing changed, when a captured table stays locked for 10 s.
    """
    with _one_at_a_time(connection, connection.info.dbname):
        _drop_event_triggers(connection)
        connection.execute("drop schema if exists pgevents cascade")


@contextlib.contextmanager
def _one_at_a_time(connection: psycopg.Connection, name: str) -> Iterator[None]:
    try:
        with connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s)", (_INSTALL_LOCK,))
            connection.execute(sql.SQL("set local lock_timeout = {}").format(_LOCK_TIMEOUT))
            yield
    except psycopg.errors.LockNotAvailable as error:
        raise InputError(
            f"{name}: a captured table stayed locked for {_LOCK_TIMEOUT}; try again when it is quieter"
        ) from error


def _hold_still(connection: psycopg.Connection, tables: tuple[Table, ...]) -> None:
    """Keeps the tables from being altered until the installation is done; writers go on."""
    names = {tuple(table.table.split(".")) for table in tables}
    if connection.execute("select to_regclass('pgevents.captured_table') is not null").fetchone() == (True,):
        names |= set(connection.execute(_CAPTURED_TABLES).fetchall())
    for table in sorted(names):
        statement = sql.SQL("lock table only {} in share update exclusive mode")
        connection.execute(statement.format(sql.Identifier(*table)))


def _set(connection: psycopg.Connection, name: str, doorbell: Doorbell, wake: Wake) -> None:
    connection.execute(
        "insert into pgevents.setting (source, doorbell, function_name, region) values (%s, %s, %s, %s)"
        " on conflict (only_row) do update set source = excluded.source, doorbell = excluded.doorbell,"
        " function_name = excluded.function_name, region = excluded.region",
        (name, doorbell, wake.function_name, wake.region),
    )


def _capture(connection: psycopg.Connection, tables: tuple[Table, ...]) -> list[str]:
    present = {row[0] for row in connection.execute(_CAPTURED_NAMES).fetchall()}
    for table in tables:
        connection.execute(
            "select pgevents.capture_table(format('%%I.%%I', %s::text, %s::text)::regclass, %s, %s, %s, %s)",
            (*table.table.split("."), table.table, list(table.key), list(table.exclude), table.publish),
        )
    return [table.table for table in tables if table.table not in present]


def _end_captures(connection: psycopg.Connection, wanted: set[str]) -> list[str]:
    unwanted = [row[0] for row in connection.execute(_CAPTURED_NAMES).fetchall() if row[0] not in wanted]
    connection.execute(
        "select pgevents.end_capture(table_id, 'no longer in pipeline.toml')"
        " from pgevents.captured_table where ended is null and name = any (%s)",
        (unwanted,),
    )
    return unwanted


def _follow_ddl(connection: psycopg.Connection) -> None:
    _drop_event_triggers(connection)
    for name, event in _EVENT_TRIGGERS.items():
        trigger, function = sql.Identifier(f"pgevents_{name}"), sql.Identifier("pgevents", name)
        create = sql.SQL("create event trigger {} on {} execute function {}()")
        connection.execute(create.format(trigger, sql.SQL(event), function))
        connection.execute(sql.SQL("alter event trigger {} enable always").format(trigger))


def _drop_event_triggers(connection: psycopg.Connection) -> None:
    for name in _EVENT_TRIGGERS:
        drop = sql.SQL("drop event trigger if exists {}")
        connection.execute(drop.format(sql.Identifier(f"pgevents_{name}")))


_EVENT_TRIGGERS: dict[str, LiteralString] = {
    "follow_ddl": "ddl_command_end when tag in"
    " ('ALTER TABLE', 'CREATE TABLE', 'CREATE FOREIGN TABLE', 'ALTER SCHEMA')",
    "follow_drop": "sql_drop",
}
_CAPTURED_NAMES = "select name from pgevents.captured_table where ended is null order by name"
_CAPTURED_TABLES = """
select n.nspname, c.relname
from pgevents.captured_table as t
inner join pg_class as c on c.oid = t.relation
inner join pg_namespace as n on n.oid = c.relnamespace
where t.ended is null and c.relkind in ('r', 'p')
"""
