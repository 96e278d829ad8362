"""The databases that are written: whether they are reached, and may be written."""

import contextlib
from collections.abc import Iterator

import psycopg

from ops.doctor.finding import Finding, error, ok
from ops.plan.warehouse import warehouse_differences
from ops.warehouse import open_warehouse
from pgevents.batch import TableChanges
from pgevents.errors import InputError, TransientError
from redshift_writer.identifiers import folded
from redshift_writer.simple_query import ConnectionLost, ServerError
from redshift_writer.sql import sql

_OLDEST_RELEASE = 15


def postgres_findings(name: str, schema: str, dsn: str) -> Iterator[Finding]:
    """A PostgreSQL sink: its version, and the right to make tables in its schema."""
    try:
        with psycopg.connect(dsn, connect_timeout=5, application_name="pgevents ops") as connection:
            row = connection.execute(_RIGHTS, {"schema": schema}).fetchone()
            release = connection.info.server_version // 10_000
    except psycopg.Error as failure:
        yield error(
            name,
            f"cannot be reached: {str(failure).splitlines()[0]}",
            "look whether it runs, and at its address",
        )
        return
    if release < _OLDEST_RELEASE:
        yield error(name, f"PostgreSQL {release} is too old", f"upgrade it to {_OLDEST_RELEASE} or newer")
    if row is None or not row[0]:
        do = f"create schema {schema}, and grant usage and create on it to the role of the pipeline"
        yield error(name, f"no tables can be made in its schema {schema}", do)
    else:
        yield ok(name, f"PostgreSQL {release}; tables can be made in the schema {schema}")


def redshift_findings(name: str, schema: str, dsn: str, targets: list[TableChanges]) -> Iterator[Finding]:
    """Redshift: reached, with the right to make tables, and with nothing in the way of a target."""
    try:
        session = open_warehouse(dsn)
    except (TransientError, InputError) as failure:
        yield error(
            name, str(failure), "look whether it runs (a serverless one wakes), its address and its secret"
        )
        return
    with contextlib.closing(session.wire):
        try:
            rows = session.run(
                sql(
                    """select case when count(*) = 0 then has_database_privilege(current_database(), 'create')
                        else bool_and(has_schema_privilege(nspname, 'create')
                            and has_schema_privilege(nspname, 'usage')) end::varchar
                    from pg_catalog.pg_namespace where nspname = {schema}""",
                    schema=session.quoting.string(folded(schema)),
                )
            ).rows
            found = warehouse_differences(session, name, schema, targets)
        except (ServerError, ConnectionLost) as failure:
            yield error(name, f"a question was refused: {failure}", "look at the rights of its user")
            return
    if rows and rows[0][0] in ("t", "true"):
        yield ok(name, f"reached; tables can be made in the schema {schema}")
    else:
        do = f"grant usage, create on schema {schema} to its user"
        yield error(name, f"no tables can be made in its schema {schema}", do)
    for each in found:
        if each.action == "blocked":
            what, _, do = each.what.partition("; ")
            yield error(each.where, what, do)


_RIGHTS = """
select case
    when n.oid is null then has_database_privilege(current_database(), 'create')
    else has_schema_privilege(n.oid, 'create') and has_schema_privilege(n.oid, 'usage')
end
from (values (%(schema)s)) as wanted (name)
left join pg_namespace as n on n.nspname = wanted.name
"""
