"""A database with capture installed, and a model that its events build: at rest the two must be equal.

Everything between the tables and the model is the real thing: triggers, windows, COPY, routing and the drain.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from db_triggers.installer import Installed, Wake, install
from pgevents.batch import Batch, Values
from pgevents.config import Doorbell, Pipeline, PostgresSink, Route, Source, Table
from pgevents.config import Drain as DrainSettings
from pgevents.settings import Connection
from transform.connections import SOURCE_SESSION, Connections
from transform.delivery import Drained
from transform.drain import Drain
from transform.source import copy_text
from transform.source.outbox import LedgerBatch, Outbox, TableRows

NAME = "shop"
WAKE = Wake("transform", "eu-west-1")
Row = dict[str, str | None]


class Event(NamedTuple):
    """One captured change, as its batch holds it."""

    table: str
    op: str
    seq: int
    transaction_id: int
    before: Row
    after: Row


class Model:
    """Rows by target and key, kept as a sink keeps them: a change older than what is there has no effect."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[Values, Row]] = {}
        self.inversions: list[tuple[str, Values]] = []
        self.versions_seen: list[int] = []
        self._seen: set[tuple[str, Values, int]] = set()
        self._versions: dict[tuple[str, Values], int] = {}

    def apply(self, batch: Batch) -> None:
        """Takes the changes of a batch, in its order."""
        for table in batch.tables:
            rows = self.rows.setdefault(table.target, {})
            positions = table.key_positions()
            names = [column.name for column in table.columns]
            for change in table.changes:
                self.versions_seen.append(change.version)
                if change.values is None:
                    self._truncate(table.target, change.version)
                    continue
                key = tuple(change.values[position] for position in positions)
                if self._versions.get((table.target, key), 0) > change.version:
                    # Delivered again, it is no inversion.
                    if (table.target, key, change.version) not in self._seen:
                        self.inversions.append((table.target, key))
                    continue
                self._seen.add((table.target, key, change.version))
                self._versions[table.target, key] = change.version
                if change.clause == "DELETE":
                    rows.pop(key, None)
                else:
                    rows[key] = dict(zip(names, change.values, strict=True))

    def _truncate(self, target: str, version: int) -> None:
        for key in [key for key in self.rows[target] if self._versions[target, key] < version]:
            del self.rows[target][key]


class Captured:
    """A source database. `run` is the application, `drain` the transform Lambda, `differences` the verdict."""

    def __init__(self, dsn: str) -> None:
        self.model = Model()
        self.pipeline = Pipeline({}, {}, ())
        self._opened = ExitStack()
        self._read_through = 0
        self.reconnect(dsn)

    def reconnect(self, dsn: str) -> None:
        """The source is to be found here from now on: it was restarted, or replaced by another database."""
        self._opened.close()
        self.dsn = dsn
        self.app = self.connect()
        self.reader = self.lambda_connection()
        self.outbox = Outbox(NAME, self.reader)

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        """One more connection of the application, in autocommit mode."""
        connection = psycopg.connect(self.dsn, autocommit=True, **options)
        self._opened.callback(connection.close)
        return connection

    def lambda_connection(self) -> psycopg.Connection[Any]:
        """One more connection of the kind that the transform Lambda has."""
        at = conninfo_to_dict(self.dsn)
        settings = Connection(str(at["host"]), int(str(at["port"])), str(at["dbname"]), str(at["user"]))
        connection = Connections(str, lambda _: "").get(settings, SOURCE_SESSION)
        self._opened.callback(connection.close)
        return connection

    def close(self) -> None:
        """Closes every connection that was opened here."""
        self._opened.close()

    def install(self, *tables: Table | str, doorbell: Doorbell = "schedule") -> Installed:
        """Captures these tables, and no other ones."""
        listed = tuple(Table(table) if isinstance(table, str) else table for table in tables)
        source = Source(tables=listed, doorbell=doorbell)
        routes = tuple(
            Route(f"{NAME}.{table.table}", ("model",), target=f"t{position}")
            for position, table in enumerate(listed)
        )
        self.pipeline = Pipeline(
            {NAME: source}, {"model": PostgresSink()}, routes, drain=DrainSettings(1_000)
        )
        return install(self.app, NAME, source, WAKE)

    def run(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Runs SQL as the application; its rows, if it has any."""
        cursor = self.app.execute(statement.encode(), parameters or None)
        return cursor.fetchall() if cursor.description else []

    def events(self) -> list[Event]:
        """Every event since the last call, in order of seq."""
        self.outbox.open_batches(1_000)
        batches = [batch for batch in self.outbox.open() if batch.batch_id > self._read_through]
        found = [event for batch in batches for rows in self.outbox.read(batch) for event in events_in(rows)]
        self._read_through = max((batch.batch_id for batch in batches), default=self._read_through)
        return sorted(found, key=lambda event: event.seq)

    def operations(self) -> list[str]:
        """The operations of every event since the last call, in order."""
        return [event.op for event in self.events()]

    def drain(self, seconds: float = 60.0) -> Drained:
        """Drains into the model until nothing is left, at most so long."""
        return self.new_drain(self.outbox, seconds).run()

    def new_drain(self, outbox: Outbox, seconds: float = 60.0, kind: type[Drain] = Drain) -> Drain:
        """A drain into the model."""
        until = time.monotonic() + seconds
        sinks: dict[str, Callable[[Batch], object]] = {"model": self.model.apply}
        return kind(self.pipeline, outbox, sinks, no_warehouse, lambda: time.monotonic() >= until)

    def differences(self) -> list[str]:
        """Drains, and names every row in which the model and its table differ."""
        self.drain()
        found = [f"{target} {key}: applied out of order" for target, key in self.model.inversions]
        for route in self.pipeline.routes:
            expected = self.table_rows(route.table.split(".", 1)[1])
            actual = self.model.rows.get(route.target_name, {})
            for key in sorted({*expected, *actual}, key=str):
                if expected.get(key) != actual.get(key):
                    found.append(
                        f"{route.table} {key}: {_short(actual.get(key))}, table: {_short(expected.get(key))}"
                    )
        return found

    def table_rows(self, table: str) -> dict[Values, Row]:
        """A table as COPY prints it, by key, without the columns that are left out."""
        columns, key = self._shape(table)
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        relation = sql.Identifier(*table.split("."))
        statement = sql.SQL("copy (select {} from {}) to stdout").format(names, relation)
        with self.reader.cursor() as cursor, cursor.copy(statement) as copy:
            copied = b"".join(bytes(block) for block in copy)
        rows = [dict(zip(columns, fields, strict=True)) for fields in copy_text.rows(copied)]
        return {tuple(row[name] for name in key): row for row in rows}

    def ledger(self) -> list[LedgerBatch]:
        """Every batch that is not applied."""
        return self.outbox.open()

    def _shape(self, table: str) -> tuple[list[str], list[str]]:
        row = self.reader.execute(
            "select l.columns, c.key from pgevents.captured_table as c inner join pgevents.layout as l using (table_id)"
            " where c.name = %s order by l.layout_id desc limit 1",
            (table,),
        ).fetchone()
        assert row is not None
        return row[0], row[1]


def events_in(rows: TableRows) -> Iterator[Event]:
    for row in rows.rows:
        before, after = (dict(zip(rows.columns, image, strict=True)) for image in (row.before, row.after))
        yield Event(rows.table, row.op, row.seq, int(row.transaction_id), before, after)


def _short(row: Row | None) -> str:
    return "no row" if row is None else str(row)[:300]


def no_warehouse(batch: Batch) -> None:
    """The forwarder of a pipeline that has no warehouse."""
    raise AssertionError("no route goes to a warehouse")
