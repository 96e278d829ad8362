"""A source's server and the role that is used there: what does not depend on capture."""

from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg

from db_triggers.installer import Wake
from db_triggers.preflight import problems
from ops.doctor.finding import Finding, Limits, error, graded, ok, warning
from pgevents.config import Route, Source

_PARAMETERS = {
    "rds.force_ssl": "connections without TLS are let in; set rds.force_ssl = 1 in its parameter group",
    "rds.custom_dns_resolution": "the doorbell cannot find an endpoint for Lambda in the VPC; "
    "set rds.custom_dns_resolution = 1 and reboot, unless Lambda is reached through NAT",
}
_INVOKE_TIMEOUT = "set local statement_timeout = '5s'"


def server_findings(
    connection: psycopg.Connection, name: str, source: Source, routes: tuple[Route, ...], limits: Limits
) -> Iterator[Finding]:
    """Version, parameters, rights, tables and routes, slots, connections."""
    version, role = (
        connection.info.parameter_status("server_version"),
        _one(connection, "select current_user"),
    )
    faults = problems(connection, name, source, routes)
    for fault in faults:
        what, _, do = fault.partition("; ")
        yield error(name, what, do or "see docs/how-to/deploy.md, what must be true of what is there")
    if not faults:
        tables = ", ".join(table.table for table in source.tables)
        yield ok(name, f"PostgreSQL {version}; {role} may capture {tables}")
    yield from _parameters(connection, name, source)
    yield from _replication(connection, name, role)
    yield _connections(connection, name, limits)


def doorbell_call(connection: psycopg.Connection, name: str, wake: Wake) -> Finding:
    """Whether the server may invoke the function that commits ring: asked with a dry run."""
    function = wake.function_name
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(_INVOKE_TIMEOUT)
            status = _one(
                connection,
                "select status_code from aws_lambda.invoke(%s, '{}'::json, %s, 'DryRun')",
                (function, wake.region),
            )
    except psycopg.Error as failure:
        return error(
            name,
            f"cannot invoke {function}: {str(failure).splitlines()[0]}",
            "look at the role with the feature name Lambda, the way there on port 443, the function's name",
        )
    if status is None or not 200 <= status < 300:
        return error(
            name, f"invoking {function} was answered with {status}", "look whether the function is there"
        )
    return ok(name, f"may invoke {function}")


def _parameters(connection: psycopg.Connection, name: str, source: Source) -> Iterator[Finding]:
    values = {each: _one(connection, "select current_setting(%s, true)", (each,)) for each in _PARAMETERS}
    if all(value is None for value in values.values()):
        yield ok(
            name, "no server of RDS, or its parameters cannot be read from here; nothing to check in them"
        )
        return
    for parameter, value in values.items():
        if value in ("1", "on"):
            yield ok(name, f"{parameter} is on")
        elif parameter != "rds.custom_dns_resolution" or source.doorbell == "invoke":
            yield warning(name, f"{parameter} is {value or 'not set'}", _PARAMETERS[parameter])


def _replication(connection: psycopg.Connection, name: str, role: str) -> Iterator[Finding]:
    row = connection.execute(
        "select rolreplication and not rolsuper from pg_roles where rolname = current_user"
    ).fetchone()
    if row is not None and row[0]:
        yield warning(
            name, f"role {role} has REPLICATION, which nothing here needs", f"alter role {role} noreplication"
        )
    slots = connection.execute(_IDLE_SLOTS).fetchall()
    for slot, size in slots:
        yield warning(
            name,
            f"the replication slot {slot}, none of ours, is not read and keeps back {size} of WAL",
            f"find its owner, or select pg_drop_replication_slot('{slot}')",
        )


def _connections(connection: psycopg.Connection, name: str, limits: Limits) -> Finding:
    row = connection.execute(_CONNECTIONS).fetchone()
    used, most = row if row else (0, 1)
    return graded(
        used / most,
        limits.connections_share,
        name,
        f"{used} of {most} connections are taken",
        "close what is idle (pg_stat_activity says who), or raise max_connections",
    )


def _one(connection: psycopg.Connection, query: LiteralString, parameters: tuple[object, ...] = ()) -> Any:
    row = connection.execute(query, parameters or None).fetchone()
    return row[0] if row else None


_IDLE_SLOTS = """
select slot_name::text, pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn))
from pg_replication_slots
where not active and restart_lsn is not null and not pg_is_in_recovery()
"""

_CONNECTIONS = """
select
    (select count(*) from pg_stat_activity where backend_type = 'client backend'),
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
"""
