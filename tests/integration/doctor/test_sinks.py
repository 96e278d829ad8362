"""Sinks that cannot be reached, or not be written, are errors."""

from collections.abc import Iterator

import psycopg
import pytest

from local.postgres import PostgresServer, free_port
from ops.doctor.finding import Finding
from ops.doctor.sinks import postgres_findings, redshift_findings
from pgevents.batch import Column, TableChanges
from tests.local.redshift.stand_in import Running, running

ACCOUNT = TableChanges("account", "mirror", ("lake",), ("id",), (Column("id", "bigint"),), [])


def said(findings: Iterator[Finding]) -> list[str]:
    return [f"{each.level} {each.where}: {each.what}" for each in findings]


@pytest.fixture(scope="module")
def warehouse(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    postgres_server.create_database("examined_warehouse")
    upstream = postgres_server.dsn("examined_warehouse")
    with running(tmp_path_factory.mktemp("a warehouse"), upstream) as stand_in:
        yield stand_in


@pytest.fixture(scope="module")
def stranger(postgres_server: PostgresServer) -> Iterator[str]:
    """A role that may log in, and nothing else."""
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        connection.execute("create role stranger login")
        yield "stranger"
        connection.execute("drop role stranger")


def as_role(dsn: str, role: str) -> str:
    return psycopg.conninfo.make_conninfo(dsn, user=role)


def test_a_sink_that_is_well_is_ok(database: str, warehouse: Running) -> None:
    [replica] = said(postgres_findings("replica", "public", database))
    assert replica.startswith("ok replica: PostgreSQL ")
    assert said(postgres_findings("replica", "not_yet_there", database))[0].startswith("ok replica: ")
    assert said(redshift_findings("lake", "public", warehouse.dsn, [ACCOUNT])) == [
        "ok lake: reached; tables can be made in the schema public"
    ]


def test_a_sink_that_is_not_there_is_an_error(postgres_server: PostgresServer) -> None:
    nowhere = f"postgresql://nobody@127.0.0.1:{free_port()}/x"
    assert said(postgres_findings("replica", "public", nowhere))[0].startswith(
        "error replica: cannot be reached: "
    )
    assert said(redshift_findings("lake", "public", nowhere, []))[0].startswith(
        "error lake: cannot connect to Redshift at 127.0.0.1:"
    )


@pytest.mark.parametrize("schema", ["public", "not_yet_there"])
def test_a_schema_in_which_no_tables_can_be_made_is_an_error(
    database: str, warehouse: Running, stranger: str, schema: str
) -> None:
    assert said(postgres_findings("replica", schema, as_role(database, stranger))) == [
        f"error replica: no tables can be made in its schema {schema}"
    ]
    assert said(redshift_findings("lake", schema, as_role(warehouse.dsn, stranger), [])) == [
        f"error lake: no tables can be made in its schema {schema}"
    ]


def test_what_stands_in_the_way_of_a_target_is_an_error(warehouse: Running) -> None:
    with warehouse.connect(autocommit=True) as client:
        client.execute("create table account (id integer)")
    try:
        _, blocked = said(redshift_findings("lake", "public", warehouse.dsn, [ACCOUNT]))
    finally:
        with warehouse.connect(autocommit=True) as client:
            client.execute("drop table account")
    assert blocked == "error lake.account: is a table that the pipeline did not make"
