"""What every test may ask for: a real PostgreSQL server a session, and a fresh database of it a test."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from local.postgres import PostgresServer, free_port


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """An embedded server; under pytest-xdist every worker has its own. Its databases end with the session."""
    server = PostgresServer(tmp_path_factory.mktemp("postgres") / "data", free_port(), durable=False)
    server.start()
    try:
        yield server
    finally:
        server.stop("immediate")


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[str]:
    """The DSN of a fresh, empty database, whose user is the server's superuser. It is dropped afterwards."""
    name = f"test_{uuid4().hex}"
    postgres_server.create_database(name)
    yield postgres_server.dsn(name)
    if postgres_server.runs:
        postgres_server.drop_database(name)
