from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from local.emulator import Emulator
from local.postgres import free_port
from transform.sinks.postgres import PostgresSink

Connect = Callable[[], psycopg.Connection[Any]]


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
