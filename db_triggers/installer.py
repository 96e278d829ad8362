"""Installs, upgrades and removes capture in a source database: one transaction, under a lock.

Safe to run again and to run at once from many places: the second one finds the work done.
"""

import msgspec
import psycopg
from psycopg import sql

from db_triggers.migrations import migrate
from db_triggers.preflight import problems
from pgevents.config import Doorbell, Source, Table
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


def install(connection: psycopg.Connection, name: str, source: Source, wake: Wake) -> Installed:
    """Brings the capture of a database in line with pipeline.toml.

    `name` is the source's name there. The connection's role owns the tables and may create event triggers.
    Raises InputError, with nothing changed, when a pre-flight check fails or a table stays locked for 10 s.
    """
    try:
        with connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s)", (_INSTALL_LOCK,))
            if found := problems(connection, name, source):
                raise InputError(f"{name}: " + "; ".join(found))
            connection.execute(sql.SQL("set local lock_timeout = {}").format(_LOCK_TIMEOUT))
            migrations = migrate(connection)
            _set(connection, name, source.doorbell, wake)
            ended = _end_captures(connection, {table.table for table in source.tables})
            captured = _capture(connection, source.tables)
            _follow_ddl(connection)
            return Installed(migrations, captured, ended)
    except psycopg.errors.LockNotAvailable as error:
        raise InputError(
            f"{name}: a captured table stayed locked for {_LOCK_TIMEOUT}; try again when it is quieter"
        ) from error


def uninstall(connection: psycopg.Connection) -> None:
    """Removes every trigger, function and table of the schema pgevents, events not yet applied included."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (_INSTALL_LOCK,))
        connection.execute("drop event trigger if exists pgevents_follow_ddl")
        connection.execute("drop schema if exists pgevents cascade")


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
    present = connection.execute(
        "select 1 from pg_event_trigger where evtname = 'pgevents_follow_ddl'"
    ).fetchone()
    if present is None:
        connection.execute(
            "create event trigger pgevents_follow_ddl on ddl_command_end"
            " when tag in ('ALTER TABLE', 'CREATE TABLE') execute function pgevents.follow_ddl()"
        )
        connection.execute("alter event trigger pgevents_follow_ddl enable always")


_CAPTURED_NAMES = "select name from pgevents.captured_table where ended is null order by name"
