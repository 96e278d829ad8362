"""A source database's one connection, which everything that the drain does there goes through."""

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence

import psycopg

from pgevents.errors import TransientError
from transform.connections import PULSE_SECONDS

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

    @contextlib.contextmanager
    def kept_alive(self) -> Iterator[None]:
        """For a block that may take long and has nothing to say to the source, which ends a silent session.

        The block itself must not use the source.
        """
        ended = threading.Event()

        def pulse() -> None:
            while not ended.wait(PULSE_SECONDS / 4):
                # One that has ended all the same is found out by the next statement.
                with contextlib.suppress(psycopg.Error):
                    self._connection.execute("select 1")

        thread = threading.Thread(target=pulse, name="pulse", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _value(self, query: str, parameters: Parameters = ()) -> object:
        row = self._connection.execute(query, parameters).fetchone()
        return row[0] if row else None

    def _count(self, query: str, parameters: Parameters = ()) -> int:
        return int(str(self._value(query, parameters)))
