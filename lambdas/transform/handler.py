"""The transform Lambda: woken by a doorbell or a sweep it drains; told of an applied batch it notes that."""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec
import psycopg

from pgevents import log, transforms
from pgevents.batch import Batch
from pgevents.config import Pipeline, PostgresSink, RedshiftSink, S3Sink, load
from pgevents.errors import InputError
from pgevents.settings import Connection, TransformSettings
from transform.answers import Applied, Failed, Purged, Refused, Replaced, answer_of, note
from transform.aws import Aws
from transform.connections import SOURCE_SESSION, Connections
from transform.delivery import BatchWriter, Drained, Rest
from transform.drain import Drain
from transform.metrics import measure, write
from transform.purge import Horizon, PurgeSink, purge_sinks
from transform.shards import ShardDrain, Wake, waking
from transform.sinks.forward import Forwarder
from transform.sinks.postgres import PostgresSink as PostgresWriter
from transform.sinks.postgres_purge import purge
from transform.sinks.s3 import S3Sink as S3Writer
from transform.source.epochs import NewestOf
from transform.source.outbox import Outbox, translated

_MARGIN_SECONDS = float(os.environ.get("PGEVENTS_MARGIN_SECONDS", "10"))
_OVERDUE_SECONDS = float(os.environ.get("PGEVENTS_OVERDUE_SECONDS", "90"))
_METRICS_NAMESPACE = os.environ.get("PGEVENTS_METRICS_NAMESPACE", "")
_SWEEP_SECONDS = float(os.environ.get("PGEVENTS_SWEEP_SECONDS", "60"))


class LambdaContext(Protocol):
    """What this handler uses of the context that Lambda passes."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the invocation."""


class Transform:
    """Everything that outlives an invocation: settings, clients and connections."""

    def __init__(self, settings: TransformSettings, pipeline: Pipeline) -> None:
        self._settings = settings
        self._pipeline = pipeline
        self._aws = Aws()
        self._connections = Connections(self._aws.secret, self._aws.token)
        self._writers: dict[str, tuple[psycopg.Connection, PostgresWriter]] = {}
        self._known: dict[str, psycopg.Connection] = {}
        transforms.load("transform.transforms", pipeline.routed_tables())

    def drain(
        self, source: str, context: LambdaContext, overdue_seconds: float | None = None, share: float = 1.0
    ) -> Drained:
        """Drains a source within a share of the time that is left.

        Raises TransientError when a service failed; the next doorbell or sweep goes on.
        """
        seconds = context.get_remaining_time_in_millis() / 1000 - _MARGIN_SECONDS
        until = time.monotonic() + seconds * share
        with translated(source):
            outbox = self._outbox(source)
            connection = self._source(source)
            drain = Drain(
                self._pipeline,
                outbox,
                self._sinks(),
                self._forwarder().forward,
                lambda: time.monotonic() >= until,
                newest=self._newest(),
                stalled_seconds=_OVERDUE_SECONDS,
                is_new_source=connection is not self._known.get(source),
                wake=self._waking(source),
            )
            drained = drain.run(overdue_seconds)
            self._known[source] = connection
            if overdue_seconds is not None:
                self._purge(source, lambda: time.monotonic() >= until)
            return drained

    def drain_shard(self, source: str, shard: int, context: LambdaContext) -> Drained:
        """Drains one shard of a source, which its own drain has asked for. Raises TransientError likewise."""
        until = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - _MARGIN_SECONDS
        with translated(source):
            drain = ShardDrain(
                self._pipeline,
                self._outbox(source),
                self._sinks(),
                self._forwarder().forward,
                lambda: time.monotonic() >= until,
                shard,
            )
            return drain.run()

    def sweep(self, source: str | None, context: LambdaContext) -> dict[str, Drained]:
        """Drains what a lost doorbell left and repeats what was never applied, in one source or in all.

        A source that fails or is busy does not keep the others from their turn; its error is raised after it.
        """
        names = [source] if source else list(self._pipeline.sources)
        drained: dict[str, Drained] = {}
        failures: list[Exception] = []
        for position, name in enumerate(names):
            try:
                # Before it drains: a sink that fails must not hide what waits for it.
                self._measure(name)
                drained[name] = self.drain(name, context, _OVERDUE_SECONDS, 1 / (len(names) - position))
            except Exception as error:
                log.error("sweep failed", source=name, error=f"{type(error).__name__}: {error}")
                failures.append(error)
        if failures:
            raise failures[0]
        return drained

    def note(self, answer: Applied | Refused | Replaced | Failed) -> dict[str, Any]:
        """Notes what the writer answers; see `answers.note`."""
        with translated(answer.source):
            warehouses = ", ".join(self._pipeline.sinks_of(RedshiftSink))
            return note(self._outbox(answer.source), warehouses, answer)

    def _measure(self, source: str) -> None:
        if _METRICS_NAMESPACE:
            with translated(source):
                figures = measure(self._source(source), _SWEEP_SECONDS)
            write(_METRICS_NAMESPACE, source, figures)

    def _purge(self, source: str, is_over: Callable[[], bool]) -> None:
        """Lets the sinks drop what they need no more, once a day."""

        def purges(name: str, sink: PostgresSink) -> PurgeSink:
            settings = _configured("sink", name, self._settings.connections.sinks)
            return lambda source, targets, below: purge(
                self._connections.get(settings), sink.schema, source, targets, below, is_over
            )

        sinks = {
            name: purges(name, sink)
            for name, sink in self._pipeline.sinks.items()
            if isinstance(sink, PostgresSink)
        }
        purge_sinks(self._pipeline, Horizon(source, self._source(source)), sinks, self._forwarder().purge)

    def _outbox(self, source: str) -> Outbox:
        if source not in self._pipeline.sources:
            raise InputError(
                f"source {source!r} is not in pipeline.toml; "
                f"expected one of {', '.join(self._pipeline.sources)}"
            )
        return Outbox(source, self._source(source))

    def _source(self, source: str) -> psycopg.Connection:
        settings = _configured("source", source, self._settings.connections.sources)
        return self._connections.get(settings, SOURCE_SESSION)

    def _sinks(self) -> dict[str, BatchWriter]:
        """PostgreSQL before S3: what the first refuses is out of the batch before the second keeps it."""
        postgres = {
            name: self._postgres(name, sink)
            for name, sink in self._pipeline.sinks.items()
            if isinstance(sink, PostgresSink)
        }
        archives = {
            name: self._archive(sink)
            for name, sink in self._pipeline.sinks.items()
            if isinstance(sink, S3Sink)
        }
        return {**postgres, **archives}

    def _archive(self, sink: S3Sink) -> BatchWriter:
        writer = S3Writer(self._aws.s3, self._settings.bucket, sink.prefix)
        return lambda batch: Rest(partial(writer.put, writer.render(batch)))

    def _postgres(self, name: str, sink: PostgresSink) -> BatchWriter:
        """The sink of this name, reached when it is written to: one that is away must not stop the others.

        It is kept with its connection, since it knows the tables that it has seen.
        """
        settings = _configured("sink", name, self._settings.connections.sinks)

        def apply(batch: Batch) -> object:
            return self._writer(name, sink, settings).apply(batch)

        return apply

    def _newest(self) -> dict[str, NewestOf]:
        """What asks each PostgreSQL sink for the newest batch that it holds of a source. Of Redshift the
        writer says so with each answer."""

        def asks(name: str, sink: PostgresSink) -> NewestOf:
            settings = _configured("sink", name, self._settings.connections.sinks)
            return lambda source: self._writer(name, sink, settings).newest(source)

        return {
            name: asks(name, sink)
            for name, sink in self._pipeline.sinks.items()
            if isinstance(sink, PostgresSink)
        }

    def _writer(self, name: str, sink: PostgresSink, settings: Connection) -> PostgresWriter:
        connection = self._connections.get(settings)
        kept = self._writers.get(name)
        if kept is None or kept[0] is not connection:
            self._writers[name] = kept = (connection, PostgresWriter(connection, sink.schema, name))
        return kept[1]

    def _waking(self, source: str) -> Wake | None:
        if self._pipeline.sources[source].shards == 1:
            return None
        return waking(self._aws.helpers, self._settings.function, source)

    def _forwarder(self) -> Forwarder:
        return Forwarder(
            self._aws.functions, self._aws.s3, self._settings.writer_function, self._settings.bucket
        )


_transform: Transform | None = None


def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Lambda's entry point: `{"kind": "doorbell", "source"}`, `{"kind": "sweep", "source"?}`,
    `{"kind": "shard", "source", "shard"}`, or the destination record of a batch. Raises InputError for
    anything else."""
    global _transform
    _end_if_clock_is_ahead(context)
    if _transform is None:
        pipeline = load(Path(os.environ.get("LAMBDA_TASK_ROOT", ".")) / "pipeline.toml")
        _transform = Transform(TransformSettings.read(os.environ), pipeline)
    match event:
        case {"kind": "doorbell", "source": str(source)}:
            return _answer("doorbell", lambda: {source: _transform.drain(source, context)})
        case {"kind": "shard", "source": str(source), "shard": int(shard)} if shard > 0:
            return _answer("shard", lambda: {source: _transform.drain_shard(source, shard, context)})
        case {"kind": "sweep"}:
            return _answer("sweep", lambda: _transform.sweep(event.get("source"), context))
        case {
            "responsePayload": {"kind": "applied" | "refused" | "replaced" | "failed" | "purged"} as answer
        }:
            answered = answer_of(answer)
            return {"kind": "noted"} if isinstance(answered, Purged) else _transform.note(answered)
    raise InputError(f"event of no known kind: {str(event)[:200]}")


def _end_if_clock_is_ahead(context: LambdaContext) -> None:
    """Ends the process when it is invoked without any time left, so that Lambda makes a new one.

    Lambda tells at what moment an invocation ends. By a clock that is far ahead every one is over as it
    begins, and nothing would be drained for as long as Lambda uses this process.
    """
    left = context.get_remaining_time_in_millis()
    if left <= 0:
        log.error("no time left as the invocation begins: this process's clock is wrong", milliseconds=left)
        raise SystemExit(1)


def _configured(kind: str, name: str, connections: dict[str, Connection]) -> Connection:
    if name not in connections:
        raise InputError(f"PGEVENTS_CONNECTIONS has no connection for {kind} {name!r}; add it under {kind}s")
    return connections[name]


def _answer(kind: str, work: Callable[[], dict[str, Drained]]) -> dict[str, Any]:
    drained = work()
    answer = {name: msgspec.to_builtins(what) for name, what in drained.items()}
    if any(what.batches for what in drained.values()):
        log.info("drained", kind=kind, sources=answer)
    return {"kind": kind, "drained": answer}
