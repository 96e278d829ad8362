"""One source drained in shards: by threads whose connections stay open, as those of warm Lambdas do."""

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from io import StringIO

import msgspec
import psycopg

from bench.measure.processor import used
from pgevents import ChangeEvent, Record, on, transforms
from pgevents.batch import Batch
from pgevents.config import Pipeline
from pgevents.errors import PgEventsError
from transform.connections import SOURCE_SESSION
from transform.delivery import BatchWriter, Drained
from transform.drain import Drain
from transform.shards import ShardDrain
from transform.sinks.postgres import PostgresSink
from transform.source.outbox import Outbox


class ShardedSource:
    """A source whose every shard has an outbox and a sink of its own."""

    def __init__(
        self, name: str, described: Pipeline, sink: str, connections: list[tuple[psycopg.Connection, ...]]
    ) -> None:
        self._name = name
        self._described = described
        self._sink = sink
        self._sessions = [each.info.backend_pid for pair in connections for each in pair]
        self._outboxes = [Outbox(name, source) for source, _ in connections]
        self._sinks: list[dict[str, BatchWriter]] = [
            {sink: PostgresSink(target, "public", sink).apply} for _, target in connections
        ]

    def drain(self, events: int, shards: int, batch_events: int) -> None:
        """Drains the source in so many shards. Raises PgEventsError when it had another number of events."""
        source = msgspec.structs.replace(self._described.sources[self._name], shards=shards)
        described = msgspec.structs.replace(
            self._described,
            sources={self._name: source},
            drain=msgspec.structs.replace(self._described.drain, batch_events=batch_events),
        )
        running: list[Future[Drained]] = []
        # A Lambda's log, which is no part of what the bench prints.
        with contextlib.redirect_stdout(StringIO()), ThreadPoolExecutor(max(1, shards - 1)) as threads:
            own = Drain(
                described, self._outboxes[0], self._sinks[0], nowhere, lambda: False,
                wake=lambda shard: running.append(threads.submit(self._drain_shard, described, shard)),
            ).run()  # fmt: skip
            drained = own.events + sum(each.result().events for each in running)
        if drained != events:
            raise PgEventsError(f"{drained} events were drained from {self._name}, not {events}")

    def processor_seconds(self) -> float:
        """What this process and the server's sessions have used so far."""
        return time.process_time() + sum(map(used, self._sessions))

    def _drain_shard(self, described: Pipeline, shard: int) -> Drained:
        outbox, sinks = self._outboxes[shard], self._sinks[shard]
        return ShardDrain(described, outbox, sinks, nowhere, lambda: False, shard).run()


@contextmanager
def sharded(name: str, described: Pipeline, source: str, sink: str, most: int) -> Iterator[ShardedSource]:
    """A source with connections for so many shards, for the length of a block; `source`, `sink` are DSNs."""
    with ExitStack() as opened:
        connections = [
            tuple(opened.enter_context(psycopg.connect(dsn, autocommit=True)) for dsn in (source, sink))
            for _ in range(most)
        ]
        for session, _ in connections:
            session.execute(SOURCE_SESSION)
        yield ShardedSource(name, described, next(iter(described.sinks)), connections)


@contextmanager
def transform_that_waits(table: str, seconds: float) -> Iterator[None]:
    """For the length of a block a transform that waits for each event, as for another system's answer."""
    with transforms.isolated():

        @on(table)
        def wait(event: ChangeEvent) -> Record:
            time.sleep(seconds)
            return Record(event.payload)

        yield


def nowhere(batch: Batch) -> None:
    """The way to a warehouse, which no route takes."""
    raise PgEventsError(f"nothing is routed to a warehouse, and yet batch {batch.batch_id} was handed on")
