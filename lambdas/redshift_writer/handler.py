"""The redshift_writer Lambda: takes a batch, applies it to Redshift, answers what became of it."""

import base64
import os
import time
from pathlib import Path
from typing import Any, Literal

import msgspec

from pgevents import log
from pgevents.batch import Batch, decode
from pgevents.config import Pipeline, RedshiftSink, load
from pgevents.errors import InputError, TerminalError
from pgevents.identity import BatchIdentity, SourceReplaced
from pgevents.refusals import RefusedChanges
from pgevents.settings import WriterSettings
from redshift_writer.aws import Objects, read_secret
from redshift_writer.connect import Sessions
from redshift_writer.copying import Place
from redshift_writer.purge import Purge, Purged
from redshift_writer.writer import Applied, Writer

_MOST_ANSWER_BYTES = 64 * 1024
"""An answer has to fit beside the batch into the megabyte of a destination's record."""
_MOST_REASON_LENGTH = 2_000


class BatchEvent(msgspec.Struct, frozen=True):
    """What the transform Lambda sends: a batch in the event itself, or a pointer to it in S3."""

    kind: Literal["batch"]
    source: str
    batch_id: int
    encoding: Literal["zlib+base64", "s3"]
    body: str = ""
    bucket: str = ""
    key: str = ""


class PurgeEvent(msgspec.Struct, frozen=True):
    """What a sweep sends now and then: tombstones below this version have done their service."""

    kind: Literal["purge"]
    source: str
    below: int


class RedshiftWriter:
    """Everything that outlives an invocation: the sink of pipeline.toml and the writer for it."""

    def __init__(self, settings: WriterSettings, pipeline: Pipeline) -> None:
        sinks = pipeline.sinks_of(RedshiftSink)
        if not sinks:
            raise InputError("pipeline.toml has no sink of type redshift for this Lambda to write to")
        self._name, sink = next(iter(sinks.items()))
        schema = sink.schema if isinstance(sink, RedshiftSink) else "public"
        sessions = Sessions(settings.redshift, read_secret)
        self._objects = Objects()
        self._pipeline = pipeline
        copies = Place(settings.bucket, settings.copy_role, self._objects.put) if settings.copy_role else None
        self._writer = Writer(sessions, schema, pipeline.policies, copies=copies)
        self._purge = Purge(sessions, schema)

    def apply(self, event: BatchEvent) -> dict[str, Any]:
        """Applies the batch that an event brings; the answer that goes to the on-success destination.

        What Redshift can never take is an answer too, since to try the same again is of no use: changes that
        it refuses (the transform Lambda makes dead letters of them and sends the rest again), a batch that it
        refuses as a whole, and a source that was replaced. Raises TransientError as `Writer.apply` does.
        """
        started = time.monotonic()
        batch = _batch_of(event, self._objects).for_sink(self._name)
        try:
            applied = self._writer.apply(batch)
        except RefusedChanges as refused:
            log.error(
                "refused",
                source=batch.source,
                batch_id=batch.batch_id,
                error=str(refused)[:_MOST_REASON_LENGTH],
            )
            return _answer("refused", batch, refused=_refusals(refused))
        except SourceReplaced as replaced:
            log.error("replaced", source=batch.source, batch_id=batch.batch_id, error=str(replaced))
            return _answer("replaced", batch, found=_told(replaced.found))
        except TerminalError as failed:
            log.error(
                "failed",
                source=batch.source,
                batch_id=batch.batch_id,
                error=str(failed)[:_MOST_REASON_LENGTH],
            )
            return _answer("failed", batch, error=str(failed)[:_MOST_REASON_LENGTH])
        _log(batch, applied, started)
        newest = _told(applied.newest) if applied.newest else None
        counts = msgspec.to_builtins(applied.counts)
        return _answer("applied", batch, applied_at=applied.applied_at, counts=counts, newest=newest)

    def purge(self, event: PurgeEvent) -> dict[str, Any]:
        """Deletes old tokens of a source, and the tombstones of its targets below a version.

        Raises TransientError.
        """
        routes = [route for route in self._pipeline.routes if self._name in route.sinks]
        targets = {
            route.target_name
            for route in routes
            if route.mode != "history" and route.table.partition(".")[0] == event.source
        }
        purged: Purged = self._purge.run(event.source, event.below, sorted(targets))
        log.info("purged", source=event.source, below=event.below, **msgspec.to_builtins(purged))
        return {"kind": "purged", "source": event.source, **msgspec.to_builtins(purged)}


def _answer(kind: str, batch: Batch, **more: object) -> dict[str, Any]:
    """An answer about a batch, with all that tells it from every other one."""
    return {"kind": kind, "source": batch.source, **_told(batch.identity()), **more}


def _told(batch: BatchIdentity) -> dict[str, Any]:
    return {
        "batch_id": batch.batch_id,
        "epoch": batch.epoch,
        "opened_at": batch.opened_at.isoformat(timespec="microseconds") if batch.opened_at else None,
    }


def _refusals(refused: RefusedChanges) -> list[dict[str, Any]]:
    """As many as fit into the answer, at least one; the others are found when the rest comes."""
    named: list[dict[str, Any]] = []
    size = 0
    for each in refused.refusals:
        told = {"version": each.version, "reason": str(each)[:_MOST_REASON_LENGTH]}
        size += len(msgspec.json.encode(told))
        if named and size > _MOST_ANSWER_BYTES:
            break
        named.append(told)
    return named


def _log(batch: Batch, applied: Applied, started: float) -> None:
    changes: dict[str, int] = {}
    for table in batch.tables:
        changes[table.target] = changes.get(table.target, 0) + len(table.changes)
    log.info(
        "applied" if applied.first else "already_applied",
        source=batch.source,
        epoch=batch.epoch,
        batch_id=batch.batch_id,
        changes=changes,
        counts=msgspec.to_builtins(applied.counts),
        milliseconds=round((time.monotonic() - started) * 1000, 1),
        retries=applied.attempts - 1,
        round_trips=applied.round_trips,
    )


def _batch_of(event: BatchEvent, objects: Objects) -> Batch:
    if event.encoding == "s3":
        return decode(objects.read(event.bucket, event.key))
    try:
        return decode(base64.b64decode(event.body, validate=True))
    except ValueError as error:
        raise InputError(
            f"batch {event.batch_id} of {event.source}: the body is not base64: {error}"
        ) from error


_redshift_writer: RedshiftWriter | None = None


def handle(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Lambda's entry point: `{"kind": "batch", "source", "batch_id", "encoding", ...}`, or
    `{"kind": "purge", "source", "below"}`.

    Raises InputError for anything else.
    """
    global _redshift_writer
    asked: BatchEvent | PurgeEvent
    try:
        if isinstance(event, dict) and event.get("kind") == "purge":
            asked = msgspec.convert(event, PurgeEvent)
        else:
            asked = msgspec.convert(event, BatchEvent)
    except msgspec.ValidationError as error:
        raise InputError(f"event is no batch: {error}: {str(event)[:200]}") from error
    if _redshift_writer is None:
        pipeline = load(Path(os.environ.get("LAMBDA_TASK_ROOT", ".")) / "pipeline.toml")
        _redshift_writer = RedshiftWriter(WriterSettings.read(os.environ), pipeline)
    if isinstance(asked, PurgeEvent):
        return _redshift_writer.purge(asked)
    return _redshift_writer.apply(asked)
