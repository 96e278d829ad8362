from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

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
