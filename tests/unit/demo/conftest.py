from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from demo import root_store
from demo.root_store import RootStore
from local.postgres import PostgresServer

SCHEMAS = Path(__file__).parents[3] / "local" / "databases"


@pytest.fixture(scope="session")
def store() -> RootStore:
    return root_store.load()


@pytest.fixture
def sources(postgres_server: PostgresServer) -> Iterator[dict[str, str]]:
    """Both source databases as `./pgevents up` makes them, empty: name → DSN."""
    dsns = {}
    for source in ("accounts", "certificates"):
        name = f"{source}_{uuid4().hex}"
        postgres_server.create_database(name)
        dsns[source] = postgres_server.dsn(name)
        with psycopg.connect(dsns[source]) as connection:
            connection.execute((SCHEMAS / f"{source}.sql").read_bytes())
    yield dsns
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        for dsn in dsns.values():
            connection.execute(f"drop database {dsn.rsplit('/', 1)[1]} with (force)".encode())
