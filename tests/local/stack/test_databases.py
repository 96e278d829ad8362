"""A source's database is there whole or not at all."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from local.postgres import PostgresServer
from local.stack.databases import SCHEMAS, make_source
from pgevents.errors import InputError

NAME = "accounts_of_this_test"


@pytest.fixture
def schema(tmp_path: Path, postgres_server: PostgresServer) -> Iterator[Path]:
    """The file of the source's tables, in the project `tmp_path`."""
    (tmp_path / SCHEMAS).mkdir(parents=True)
    yield tmp_path / SCHEMAS / f"{NAME}.sql"
    postgres_server.drop_database(NAME)


def test_the_schema_runs_once(postgres_server: PostgresServer, schema: Path, tmp_path: Path) -> None:
    schema.write_text("create table public.account (i int); insert into public.account values (1)")
    assert make_source(postgres_server, NAME, tmp_path)
    schema.write_text("select wrong")
    assert not make_source(postgres_server, NAME, tmp_path)
    with psycopg.connect(postgres_server.dsn(NAME)) as connection:
        assert connection.execute("select * from public.account").fetchall() == [(1,)]


def test_a_schema_that_does_not_run_leaves_no_database_and_may_be_corrected(
    postgres_server: PostgresServer, schema: Path, tmp_path: Path
) -> None:
    schema.write_text("create table public.account (i int); select wrong")
    with pytest.raises(InputError, match=rf'{NAME}.sql: column "wrong" does not exist'):
        make_source(postgres_server, NAME, tmp_path)
    assert not postgres_server.has_database(NAME)
    schema.write_text("create table public.account (i int)")
    assert make_source(postgres_server, NAME, tmp_path)


def test_a_source_without_a_schema_gets_an_empty_database(
    postgres_server: PostgresServer, schema: Path, tmp_path: Path
) -> None:
    assert make_source(postgres_server, NAME, tmp_path)
    assert postgres_server.has_database(NAME)
