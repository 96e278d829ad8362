from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from local.emulator import Emulator
from local.postgres import PostgresServer, free_port
from transform.sinks.postgres import PostgresSink

Connect = Callable[[], psycopg.Connection[Any]]


@pytest.fixture(scope="session")
def shared_database(postgres_server: PostgresServer) -> str:
    """One database for the session: to make one for each of so many tests would take most of their time."""
    name = f"sinks_{uuid4().hex}"
    postgres_server.create_database(name)
    return postgres_server.dsn(name)


@pytest.fixture
def database(shared_database: str) -> Iterator[str]:
    """The DSN of a database in which nothing is but an empty schema public."""
    yield shared_database
    with psycopg.connect(shared_database, autocommit=True) as connection:
        schemas = connection.execute(
            r"select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'"
        ).fetchall()
        for (schema,) in schemas:
            connection.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(schema)))
        connection.execute("create schema public")


@pytest.fixture
def connect(database: str) -> Iterator[Connect]:
    """Opens a new connection to the test's database; all of them are closed afterwards."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(psycopg.connect(database, autocommit=True))


@pytest.fixture
def target(connect: Connect) -> psycopg.Connection[Any]:
    """A second way into the target database, for looking and for interfering."""
    return connect()


@pytest.fixture
def sink(connect: Connect) -> PostgresSink:
    return PostgresSink(connect(), "replica")


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """S3 and SQS for the session."""
    emulator = Emulator(tmp_path_factory.mktemp("emulator"), free_port())
    emulator.start()
    yield emulator
    emulator.stop()


@pytest.fixture
def bucket(emulator: Emulator) -> str:
    """A new, empty bucket."""
    name = f"events-{uuid4().hex}"
    emulator.create_bucket(name)
    return name


@pytest.fixture
def s3(emulator: Emulator) -> Iterator[Any]:
    client = emulator.session.client("s3", endpoint_url=emulator.url)
    yield client
    client.close()
