"""Many captured databases on one server, and what drains them."""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import StringIO
from pathlib import Path

import psycopg

from bench.end_to_end.load import commit_rows
from bench.end_to_end.project import TABLE, pipeline
from bench.measure.processor import used
from bench.scale.shards import ShardedSource, nowhere, sharded
from db_triggers.installer import Wake, install
from local import aws_extensions
from local.postgres import PostgresServer, free_port
from pgevents.config import Pipeline, load
from pgevents.errors import PgEventsError
from transform.delivery import BatchWriter
from transform.drain import Drain
from transform.sinks.postgres import PostgresSink
from transform.source.outbox import Outbox

_SINK = "replica"


class Sources:
    """Captured databases, each with a connection of its own that stays open, as a warm Lambda's does."""

    def __init__(
        self, sources: dict[str, psycopg.Connection], sink: psycopg.Connection, described: Pipeline
    ) -> None:
        self._sources = sources
        self._sink = sink
        self._sinks: dict[str, BatchWriter] = {_SINK: PostgresSink(sink, "public", _SINK).apply}
        self._pipeline = described
        self._committed = 0

    def version(self) -> str:
        """The server's version."""
        return str(next(iter(self._sources.values())).info.parameter_status("server_version"))

    def table_of_first(self) -> str:
        """The captured table of the first source, in full."""
        return f"{next(iter(self._sources))}.public.entry"

    @contextmanager
    def sharded(self, most: int) -> Iterator[ShardedSource]:
        """The first source with connections for so many shards, for the length of a block."""
        name, connection = next(iter(self._sources.items()))
        with sharded(name, self._pipeline, connection.info.dsn, self._sink.info.dsn, most) as source:
            yield source

    @property
    def number(self) -> int:
        """How many there are."""
        return len(self._sources)

    def commit(self, events: int, among: int) -> None:
        """Commits so many events in each of the first `among` sources."""
        for connection in self._first(among).values():
            commit_rows(connection, self._committed, events)
        self._committed += events

    def drain(self, events: int, among: int) -> None:
        """Drains these sources. Raises PgEventsError when one of them had another number of events."""
        # A Lambda's log, which is no part of what the bench prints.
        with contextlib.redirect_stdout(StringIO()):
            for name, connection in self._first(among).items():
                outbox = Outbox(name, connection)
                drained = Drain(self._pipeline, outbox, self._sinks, nowhere, lambda: False).run().events
                if drained != events:
                    raise PgEventsError(f"{drained} events were drained from {name}, not {events}")

    def drain_once(self) -> None:
        """Some events through every source, so that nothing measured is done for the first time."""
        for _ in range(2):
            self.commit(20, self.number)
            self.drain(20, self.number)

    def processor_seconds(self) -> float:
        """What this process and the server's sessions have used so far."""
        sessions = [*self._sources.values(), self._sink]
        return time.process_time() + sum(used(each.info.backend_pid) for each in sessions)

    def _first(self, number: int) -> dict[str, psycopg.Connection]:
        return dict(list(self._sources.items())[:number])


@contextmanager
def running_sources(number: int) -> Iterator[Sources]:
    """A server with so many captured databases for the length of a block."""
    names = [f"source_{position}" for position in range(number)]
    with tempfile.TemporaryDirectory(prefix="pgevents-scale-") as folder, ExitStack() as opened:
        described = _described(Path(folder), names)
        settings = {"max_connections": str(number + 20)}
        server = PostgresServer(Path(folder) / "data", free_port(), durable=False, settings=settings)
        server.start()
        opened.callback(server.stop)
        server.create_database(_SINK)
        sources = {
            name: opened.enter_context(psycopg.connect(_captured(server, name, described), autocommit=True))
            for name in names
        }
        sink = opened.enter_context(psycopg.connect(server.dsn(_SINK), autocommit=True))
        yield Sources(sources, sink, described)


def _described(folder: Path, names: list[str]) -> Pipeline:
    path = folder / "pipeline.toml"
    path.write_text(pipeline(names, (_SINK,), "schedule"))
    return load(path)


def _captured(server: PostgresServer, name: str, described: Pipeline) -> str:
    server.create_database(name)
    with psycopg.connect(server.dsn(name), autocommit=True) as connection:
        connection.execute(TABLE)
        aws_extensions.install(connection, "http://127.0.0.1:9")
        install(connection, name, described.sources[name], Wake("nobody", "eu-west-1"), described.routes)
    return server.dsn(name)
