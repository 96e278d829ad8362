"""The redshift_writer Lambda: takes a batch, applies it to Redshift, answers when it was applied."""

import base64
import os
import time
from pathlib import Path
from typing import Any, Literal

import msgspec

from pgevents import log
from pgevents.batch import Batch, decode
from pgevents.config import Pipeline, RedshiftSink, load
from pgevents.errors import InputError, TransientError
from pgevents.refusals import RefusedChanges
from pgevents.settings import WriterSettings
from redshift_writer.connect import Sessions
from redshift_writer.writer import Applied, Writer

_MOST_REFUSALS = 100
"""In one answer, which has to fit beside the batch into the megabyte of a destination's record."""


class BatchEvent(msgspec.Struct, frozen=True):
    """What the transform Lambda sends: a batch in the event itself, or a pointer to it in S3."""

    kind: Literal["batch"]
    source: str
    batch_id: int
    encoding: Literal["zlib+base64", "s3"]
    body: str = ""
    bucket: str = ""
    key: str = ""


class RedshiftWriter:
    """Everything that outlives an invocation: the sink of pipeline.toml and the writer for it."""

    def __init__(self, settings: WriterSettings, pipeline: Pipeline) -> None:
        sinks = pipeline.sinks_of(RedshiftSink)
        if not sinks:
            raise InputError("pipeline.toml has no sink of type redshift for this Lambda to write to")
        self._name, sink = next(iter(sinks.items()))
        schema = sink.schema if isinstance(sink, RedshiftSink) else "public"
        self._writer = Writer(Sessions(settings.redshift, _read_secret), schema, pipeline.policies)

    def apply(self, event: BatchEvent) -> dict[str, Any]:
        """Applies the batch that an event brings; the answer that goes to the on-success destination.

        Changes that Redshift can never take are an answer too: the transform Lambda makes dead letters of
        them and sends the rest again. Raises TransientError and TerminalError as `Writer.apply` does.
        """
        started = time.monotonic()
        batch = _batch_of(event).for_sink(self._name)
        try:
            applied = self._writer.apply(batch)
        except RefusedChanges as refused:
            log.error("refused", source=batch.source, batch_id=batch.batch_id, error=str(refused))
            return _refused(batch, refused)
        _log(batch, applied, started)
        return {
            "kind": "applied",
            "source": batch.source,
            "batch_id": batch.batch_id,
            "applied_at": applied.applied_at,
            "counts": msgspec.to_builtins(applied.counts),
        }


def _refused(batch: Batch, refused: RefusedChanges) -> dict[str, Any]:
    """The answer for a batch of which nothing was applied; further refusals are found when the rest comes."""
    named = [{"version": each.version, "reason": str(each)} for each in refused.refusals[:_MOST_REFUSALS]]
    return {"kind": "refused", "source": batch.source, "batch_id": batch.batch_id, "refused": named}


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


def _batch_of(event: BatchEvent) -> Batch:
    if event.encoding == "s3":
        return decode(_read_object(event.bucket, event.key))
    try:
        return decode(base64.b64decode(event.body, validate=True))
    except ValueError as error:
        raise InputError(
            f"batch {event.batch_id} of {event.source}: the body is not base64: {error}"
        ) from error


def _read_object(bucket: str, key: str) -> bytes:
    """Raises TransientError when S3 does not give the object."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        body: bytes = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    except (BotoCoreError, ClientError) as error:
        raise TransientError(f"cannot read s3://{bucket}/{key}: {error}") from error
    return body


def _read_secret(name: str) -> str:
    """Raises TransientError when Secrets Manager does not give the secret."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return str(boto3.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"])
    except (BotoCoreError, ClientError) as error:
        raise TransientError(f"cannot read the secret {name}: {error}") from error


_redshift_writer: RedshiftWriter | None = None


def handle(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Lambda's entry point: `{"kind": "batch", "source", "batch_id", "encoding", ...}`.

    Raises InputError for anything else.
    """
    global _redshift_writer
    try:
        batch_event = msgspec.convert(event, BatchEvent)
    except msgspec.ValidationError as error:
        raise InputError(f"event is no batch: {error}: {str(event)[:200]}") from error
    if _redshift_writer is None:
        pipeline = load(Path(os.environ.get("LAMBDA_TASK_ROOT", ".")) / "pipeline.toml")
        _redshift_writer = RedshiftWriter(WriterSettings.read(os.environ), pipeline)
    return _redshift_writer.apply(batch_event)
