"""One stand-in for all tests here; every test finds it without faults and in a schema of its own."""

from collections.abc import Iterator

import psycopg
import pytest

from local.postgres import PostgresServer
from tests.local.redshift.stand_in import Running, running


@pytest.fixture(scope="session")
def shared_stand_in(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    postgres_server.create_database("stand_in")
    with running(tmp_path_factory.mktemp("stand in"), postgres_server.dsn("stand_in")) as stand_in:
        yield stand_in


@pytest.fixture
def stand_in(shared_stand_in: Running) -> Iterator[Running]:
    """Its public schema is empty, before and after."""
    yield shared_stand_in
    shared_stand_in.control.clear()
    with psycopg.connect(shared_stand_in.upstream, autocommit=True) as connection:
        connection.execute("set lock_timeout = '5s'")
        connection.execute("drop schema public cascade; create schema public")


@pytest.fixture
def client(stand_in: Running) -> Iterator[psycopg.Connection]:
    """psycopg, through the stand-in, one transaction a statement."""
    with stand_in.connect(autocommit=True) as connection:
        yield connection
