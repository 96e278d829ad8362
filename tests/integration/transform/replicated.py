"""A source whose tables are kept in a real PostgreSQL by real drains: at rest the two must be equal."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import psycopg
from psycopg import sql

from pgevents.batch import Batch, Values
from tests.integration.db_triggers.captured import Captured, Row, no_warehouse
from transform.connections import SOURCE_SESSION
from transform.delivery import Drained
from transform.drain import Drain
from transform.sinks.postgres import PostgresSink
from transform.source import copy_text
from transform.source.outbox import Outbox

SCHEMA = "replica"
# A test may look away for longer than a Lambda may.
NO_PULSE = "set idle_session_timeout = 0"


class Replicated(Captured):
    """A source database and the database of its sink. `sweep` is what the schedule does each minute."""

    def __init__(self, dsn: str, sink_dsn: str) -> None:
        super().__init__(dsn)
        self._sink_dsn = sink_dsn
        self._sink_opened = ExitStack()
        self.sink = PostgresSink(self._sink_connection(), SCHEMA)
        self.looking = self._sink_connection(SOURCE_SESSION)

    def reconnect(self, dsn: str) -> None:
        super().reconnect(dsn)
        self.reader.execute(NO_PULSE)

    def close(self) -> None:
        super().close()
        self._sink_opened.close()

    def new_drain(self, outbox: Outbox, seconds: float = 60.0, kind: type[Drain] = Drain) -> Drain:
        until = time.monotonic() + seconds
        sinks: dict[str, Callable[[Batch], object]] = {"model": self.sink.apply}
        newest = {"model": self.sink.newest}
        return kind(
            self.pipeline, outbox, sinks, no_warehouse, lambda: time.monotonic() >= until, newest=newest
        )

    def sweep(self, seconds: float = 60.0) -> Drained:
        """Drains as a sweep does: it also asks the sink what it holds."""
        return self.new_drain(self.outbox, seconds).run(overdue_seconds=90.0)

    def differences(self) -> list[str]:
        """Sweeps, and names every row in which the target and its table differ."""
        self.sweep()
        found = []
        for route in self.pipeline.routes:
            table = route.table.split(".", 1)[1]
            expected, actual = self.table_rows(table), self.target_rows(table, route.target_name)
            for key in sorted({*expected, *actual}, key=str):
                if expected.get(key) != actual.get(key):
                    found.append(f"{table} {key}: {actual.get(key)}, table: {expected.get(key)}")
        return found

    def target_rows(self, table: str, target: str) -> dict[Values, Row]:
        """A target as COPY prints it, by key, with the columns of its table."""
        columns, key = self._shape(table)
        if self.looking.execute("select to_regclass(%s)", (f"{SCHEMA}.{target}",)).fetchone() == (None,):
            return {}
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        statement = sql.SQL("copy (select {} from {}) to stdout").format(
            names, sql.Identifier(SCHEMA, target)
        )
        with self.looking.cursor() as cursor, cursor.copy(statement) as copy:
            copied = b"".join(bytes(block) for block in copy)
        rows = [dict(zip(columns, fields, strict=True)) for fields in copy_text.rows(copied)]
        return {tuple(row[name] for name in key): row for row in rows}

    def epochs(self) -> list[tuple[int, str]]:
        """Every epoch of the source, and why it began."""
        return [
            (epoch, reason)
            for epoch, reason in self.run("select epoch, reason from pgevents.epoch order by 1")
        ]

    def _sink_connection(self, session: str = "") -> psycopg.Connection[Any]:
        connection = psycopg.connect(self._sink_dsn, autocommit=True)
        self._sink_opened.callback(connection.close)
        if session:
            connection.execute(session.encode())
            connection.execute(NO_PULSE)
        return connection
