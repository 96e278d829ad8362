"""A stand-in for all tests here, and a schema of its own for each."""

from collections.abc import Callable, Iterator
from itertools import count

import psycopg
import pytest

from local.emulator import Emulator
from local.postgres import PostgresServer, free_port
from pgevents.batch import Batch, TableChanges
from pgevents.config import Policies
from redshift_writer.connect import Sessions
from redshift_writer.copying import Place
from redshift_writer.writer import Applied, Writer
from tests.local.redshift.stand_in import Running, running

_numbers = count(1)
BUCKET = "warehouse"


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An S3 with the bucket of the warehouse."""
    emulator = Emulator(tmp_path_factory.mktemp("aws"), free_port())
    emulator.start()
    emulator.create_bucket(BUCKET)
    yield emulator
    emulator.stop()


@pytest.fixture(scope="session")
def shared_warehouse(
    postgres_server: PostgresServer, s3: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    postgres_server.create_database("warehouse")
    folder = tmp_path_factory.mktemp("a warehouse")
    with running(folder, postgres_server.dsn("warehouse"), s3.url) as stand_in:
        yield stand_in


@pytest.fixture
def warehouse(shared_warehouse: Running) -> Iterator[Running]:
    """The stand-in, without faults."""
    shared_warehouse.control.clear()
    yield shared_warehouse
    shared_warehouse.control.clear()


class Target:
    """A schema of the warehouse, the writers into it, and what it holds."""

    def __init__(self, warehouse: Running, schema: str) -> None:
        self.warehouse = warehouse
        self.schema = schema
        self.pauses: list[float] = []
        self._sessions: list[Sessions] = []
        self._batch_ids = count(1)

    def writer(self, policies: Policies | None = None, copies: Place | None = None) -> Writer:
        """A writer with a connection of its own, as another Lambda environment would have."""
        sessions = Sessions(self.warehouse.settings, lambda name: "")
        self._sessions.append(sessions)
        return Writer(sessions, self.schema, policies or Policies(), self.pauses.append, copies)

    def batch(self, *tables: TableChanges, batch_id: int | None = None, source: str = "accounts") -> Batch:
        """A batch; each has the next number unless it is given one."""
        number = next(self._batch_ids) if batch_id is None else batch_id
        return Batch(source, number, 1, "2026-01-01T00:00:00+00:00", list(tables))

    def look(self, query: str) -> list[tuple[object, ...]]:
        """What a query finds, `{s}` being the schema, behind the stand-in."""
        return self.warehouse.look(query.replace("{s}", f'"{self.schema}"'))

    def read(self, query: str) -> list[tuple[object, ...]]:
        """What a user's query finds through the stand-in."""
        with self.warehouse.connect() as client:
            return client.execute(query.replace("{s}", f'"{self.schema}"').encode()).fetchall()

    def execute(self, statement: str) -> None:
        """Runs a statement through the stand-in."""
        with self.warehouse.connect(autocommit=True) as client:
            client.execute(statement.replace("{s}", f'"{self.schema}"').encode())

    def close(self) -> None:
        for sessions in self._sessions:
            sessions.drop()
        with psycopg.connect(self.warehouse.upstream, autocommit=True) as connection:
            connection.execute(f'drop schema if exists "{self.schema}" cascade'.encode())


@pytest.fixture
def target(warehouse: Running) -> Iterator[Target]:
    found = Target(warehouse, f"target_{next(_numbers)}")
    yield found
    found.close()


Apply = Callable[..., Applied]


@pytest.fixture
def apply(target: Target) -> Apply:
    """Applies tables as the next batch, with one writer for the whole test."""
    writer = target.writer()

    def applied(*tables: TableChanges, batch_id: int | None = None) -> Applied:
        return writer.apply(target.batch(*tables, batch_id=batch_id))

    return applied
