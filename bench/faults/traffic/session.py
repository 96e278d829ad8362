"""A writer's connection, which is made again whenever it is cut, and tells a lost connection from a
refusal.
"""

import time
from collections.abc import Callable
from typing import Any

import psycopg

_PAUSE_SECONDS = 0.05
_SETTINGS = "-c deadlock_timeout=20ms -c lock_timeout=2s -c statement_timeout=60s -c search_path=public"
# Shutdowns and crashes, and what the driver notices of them.
_ENDS_THE_SESSION = ("57P", "08")


class ConnectionCut(Exception):
    """The connection ended under a statement; whether the statement took effect is not known."""


class SourceGone(Exception):
    """The source did not come back within the writers' patience."""


class Session:
    """One session on a source. It connects when it is first used, and again after it was cut."""

    def __init__(self, dsn: str, name: str, patience_seconds: float) -> None:
        self._dsn = dsn
        self._name = name
        self._patience_seconds = patience_seconds
        self._connection: psycopg.Connection[Any] | None = None

    def run(self, work: Callable[[psycopg.Connection[Any]], Any]) -> Any:
        """What `work` makes of the connection. Raises ConnectionCut, and psycopg.Error for a refusal."""
        connection = self._connected()
        try:
            return work(connection)
        except psycopg.Error as error:
            if connection.closed or (error.sqlstate or "").startswith(_ENDS_THE_SESSION):
                self.close()
                raise ConnectionCut(str(error)) from error
            raise

    def execute(self, query: str, *parameters: object) -> psycopg.Cursor[Any]:
        """Runs a query. Raises as `run` does."""
        cursor: psycopg.Cursor[Any] = self.run(lambda it: it.execute(query.encode(), parameters or None))
        return cursor

    def ask(self, query: str, *parameters: object) -> Any:
        """The first value of a query that only reads, asked again until the source has answered.

        Raises SourceGone when it does not within the patience.
        """
        until = time.monotonic() + self._patience_seconds
        while True:
            try:
                row = self.execute(query, *parameters).fetchone()
                return None if row is None else row[0]
            except (ConnectionCut, psycopg.OperationalError) as error:
                if time.monotonic() > until:
                    raise SourceGone(f"{self._name}: {error}") from error
                time.sleep(_PAUSE_SECONDS)

    def close(self) -> None:
        """Ends the session; a transaction that is open is rolled back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> psycopg.Connection[Any]:
        until = time.monotonic() + self._patience_seconds
        while self._connection is None:
            try:
                self._connection = psycopg.connect(
                    self._dsn,
                    autocommit=True,
                    connect_timeout=5,
                    application_name=self._name,
                    options=_SETTINGS,
                )
            except psycopg.OperationalError as error:
                if time.monotonic() > until:
                    raise SourceGone(f"{self._name}: {error}") from error
                time.sleep(_PAUSE_SECONDS)
        return self._connection
