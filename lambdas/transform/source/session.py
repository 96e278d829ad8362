"""A source database's one connection, which everything that the drain does there goes through."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import psycopg

from pgevents.errors import TransientError

Parameters = Sequence[object] | Mapping[str, object]


@contextlib.contextmanager
def translated(source: str) -> Iterator[None]:
    """Turns a failing connection into TransientError; whatever was not finished is found again."""
    try:
        yield
    except psycopg.OperationalError as error:
        raise TransientError(f"source {source}: {str(error).strip() or type(error).__name__}") from error


class SourceSession:
    """A source by its name in pipeline.toml, over one connection in autocommit mode."""

    def __init__(self, source: str, connection: psycopg.Connection) -> None:
        self.source = source
        self._connection = connection

    def _value(self, query: str, parameters: Parameters = ()) -> object:
        row = self._connection.execute(query, parameters).fetchone()
        return row[0] if row else None

    def _count(self, query: str, parameters: Parameters = ()) -> int:
        return int(str(self._value(query, parameters)))
