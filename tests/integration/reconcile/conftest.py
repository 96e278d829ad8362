"""A source with real capture and a PostgreSQL sink, drained in the test and not in a Lambda."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import msgspec
import psycopg
import pytest

from db_triggers import installer
from local.postgres import PostgresServer
from ops.comparison.check import Check, ComparedPlace
from ops.comparison.records import Finding
from ops.comparison.sinks import places_of, postgres_places
from ops.comparison.source import SourceTable
from ops.comparison.spool import Spool
from ops.reconcile.dead import mark_dead
from ops.reconcile.selection import since_of, time_of
from ops.status import ledger
from pgevents.batch import Batch
from pgevents.config import Pipeline
from transform.drain import Drain
from transform.sinks.postgres import PostgresSink as PostgresWriter
from transform.source.outbox import Outbox


class Pair(msgspec.Struct, frozen=True):
    """A captured source and its replicas by the names of their sinks, all databases of one server."""

    pipeline: Pipeline
    source: psycopg.Connection
    sinks: dict[str, psycopg.Connection]
    folder: Path

    def drain(self) -> None:
        """Brings every sink to what has committed."""
        writers = {name: PostgresWriter(sink, "public").apply for name, sink in self.sinks.items()}
        with psycopg.connect(self.source.info.dsn, autocommit=True) as connection:
            Drain(self.pipeline, Outbox("shop", connection), writers, nowhere, lambda: False).run()

    @contextmanager
    def draining(self) -> Iterator[None]:
        """The same all the time, on connections of its own."""
        done = threading.Event()

        def run() -> None:
            others = {
                name: psycopg.connect(sink.info.dsn, autocommit=True) for name, sink in self.sinks.items()
            }
            pair = Pair(self.pipeline, self.source, others, self.folder)
            while not done.wait(0.01):
                pair.drain()
            for other in others.values():
                other.close()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def compare(self, since: str | None = None, most_looks: int = 10) -> "Comparison":
        """Every captured table with every sink; what is not applied is waited for."""
        sinks = {name: postgres_places(name, sink, "public") for name, sink in self.sinks.items()}
        path = self.folder / f"{uuid4().hex}.sqlite"
        at = None if since is None else time_of(since, datetime.now(UTC))
        with Spool(path) as spool:
            places: list[ComparedPlace] = []
            for table in self.pipeline.sources["shop"].tables:
                check = Check(
                    spool, places_of(sinks, spool), self.applied, since=since_of(self.source, "shop", at),
                    most_looks=most_looks,
                )  # fmt: skip
                places += check.compare(SourceTable(self.pipeline, "shop", table, self.source))
                mark_dead(spool, self.source, f"shop.{table.table}", table.table)
            return Comparison(places, [finding for _, finding in spool.findings()])

    def applied_by_others(self, snapshot: str) -> bool:
        while ledger.unapplied(self.source, snapshot):
            threading.Event().wait(0.01)
        return True

    def applied(self, snapshot: str) -> bool:
        if ledger.unapplied(self.source, snapshot):
            self.drain()
        return self.applied_by_others(snapshot)


class Comparison(msgspec.Struct, frozen=True):
    """What was compared and found."""

    places: list[ComparedPlace]
    findings: list[Finding]

    def differing(self) -> dict[tuple[str | None, ...], tuple[str | None, tuple[str, ...]]]:
        """(sink, table, key…) → (kind, columns)."""
        return {
            (f.sink, f.place, *f.key): (f.kind, f.columns) for f in self.findings if f.state == "difference"
        }

    def rows(self) -> dict[tuple[str, str], int]:
        return {(place.sink, place.table): place.rows for place in self.places}


def nowhere(batch: Batch) -> None:
    raise AssertionError(f"nothing is routed to a warehouse, and yet {batch.batch_id} was forwarded")


@pytest.fixture
def make_pair(postgres_server: PostgresServer, tmp_path: Path):  # type: ignore[no-untyped-def]
    """Makes a pair from a schema and a pipeline whose one source is shop."""
    opened: list[psycopg.Connection] = []
    names: list[str] = []

    def connected() -> psycopg.Connection:
        name = f"reconcile_{uuid4().hex}"
        postgres_server.create_database(name)
        names.append(name)
        opened.append(psycopg.connect(postgres_server.dsn(name), autocommit=True))
        return opened[-1]

    def make(schema: str, pipeline: Pipeline, rows: str = "") -> Pair:
        source = connected()
        source.execute(schema.encode())
        installer.install(source, "shop", pipeline.sources["shop"], installer.Wake("", ""))
        if rows:
            source.execute(rows.encode())
        return Pair(pipeline, source, {name: connected() for name in pipeline.sinks}, tmp_path)

    yield make
    for connection in opened:
        connection.close()
    for name in names:
        postgres_server.drop_database(name)
