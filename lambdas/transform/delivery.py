"""The delivery of one batch: routed, written to every sink at hand, handed to the writer, and noted.

A sink that is paused or fails does not stop the others: the batch is held for it, and taken again later.
"""

import contextlib
import time
from collections.abc import Callable

import msgspec
import psycopg

from pgevents import log
from pgevents.batch import Batch, TableChanges
from pgevents.config import Pipeline, RedshiftSink
from pgevents.errors import SourceReplaced
from pgevents.event import Version
from pgevents.refusals import RefusedChanges
from transform.left_out import LeftOut
from transform.routing import Routed, route_batch
from transform.source.captured import LedgerBatch
from transform.source.dead_letters import without
from transform.source.outbox import Outbox

BatchWriter = Callable[[Batch], object]
"""Takes a batch whole or raises; taking it again changes nothing."""


class Drained(msgspec.Struct):
    """What one drain did. Held batches are among the others."""

    batches: int = 0
    events: int = 0
    dead: int = 0
    dropped: int = 0
    held: int = 0


class Delivery:
    """Takes the batches of one source. `forward` hands a batch to the Redshift writer."""

    def __init__(
        self,
        pipeline: Pipeline,
        outbox: Outbox,
        sinks: dict[str, BatchWriter],
        forward: BatchWriter,
    ) -> None:
        self._pipeline = pipeline
        self._outbox = outbox
        self._sinks = sinks
        self._forward = forward
        self.warehouses = frozenset(pipeline.sinks_of(RedshiftSink))
        self.left_out = LeftOut()
        self.drained = Drained()

    def take(self, batch: LedgerBatch) -> None:
        """Writes one batch to every sink at hand and hands it to the writer. Safe to do again from the start.

        Raises SourceReplaced when a sink knows a later state of the source than the source itself, and
        whatever keeps the batch from being read or routed at all.
        """
        started = time.monotonic()
        try:
            routed, missing = self._written(batch)
            missing |= self._hand_on(batch, routed.batch, missing)
        except SourceReplaced:
            raise
        except Exception as error:
            self._note_failure(batch, error)
            raise
        self.drained.batches += 1
        self.drained.events += batch.events
        self.drained.dead += len(routed.dead)
        self.drained.dropped += routed.dropped
        self.drained.held += bool(missing)
        log.info(
            "batch drained", source=self._outbox.source, batch_id=batch.batch_id, batch=batch.kind,
            events=batch.events, dead=len(routed.dead), dropped=routed.dropped, held_for=sorted(missing),
            milliseconds=round((time.monotonic() - started) * 1000),
        )  # fmt: skip

    def _written(self, batch: LedgerBatch) -> tuple[Routed, set[str]]:
        """Routes a batch and writes it to the sinks but Redshift; what one refuses becomes a dead letter.

        Also returns the sinks that it was not written to.
        """
        tables = without(self._outbox.read(batch), self._outbox.buried(batch))
        refused = self._outbox.refused(batch)
        while True:
            dead_keys = self._outbox.dead_keys(batch, tables)
            routed = route_batch(self._pipeline, self._outbox.source, batch, tables, dead_keys, refused)
            if routed.dead:
                self._outbox.bury(batch, routed.dead)
            missing: set[str] = set()
            newly_refused = self._write(routed.batch, refused, missing)
            if not newly_refused:
                return routed, missing
            refused |= newly_refused

    def _write(self, batch: Batch, refused: dict[int, str], missing: set[str]) -> dict[int, str]:
        """Writes to each sink at hand; returns what the first one refused, by seq, and adds to `missing`."""
        for name, write in self._sinks.items():
            part = batch.for_sink(name)
            if not part.tables:
                continue
            if name in self.left_out.names():
                missing.add(name)
                continue
            try:
                write(part)
                self.left_out.succeed(name)
            except SourceReplaced:
                raise
            except RefusedChanges as refusal:
                named = {Version.from_number(each.version).seq: str(each) for each in refusal.refusals}
                if not named.keys() <= refused.keys():
                    return named
                # It refuses what is not in the batch any more: nothing that a dead letter could help.
                self.left_out.fail(name, refusal)
                missing.add(name)
            except Exception as error:
                self.left_out.fail(name, error)
                missing.add(name)
        return {}

    def _hand_on(self, batch: LedgerBatch, routed: Batch, missing: set[str]) -> set[str]:
        """Hands the batch to the writer and notes how far it has come; the warehouses that it waits for."""
        tables = [table for table in routed.tables if self.warehouses & set(table.sinks)]
        waiting: set[str] = set()
        is_forwarded = bool(tables) and not batch.confirmed
        if is_forwarded and not self._forwarded(msgspec.structs.replace(routed, tables=tables)):
            is_forwarded, waiting = False, self._warehouses_of(tables)
        if late := missing | waiting:
            reasons = [f"{name}: {self.left_out.reason(name)}" for name in sorted(late)]
            self._outbox.hold(batch, late, is_forwarded, "; ".join(reasons))
        elif is_forwarded:
            self._outbox.mark_forwarded(batch)
        else:
            self._outbox.mark_written(batch)
        return waiting

    def _forwarded(self, batch: Batch) -> bool:
        warehouses = self._warehouses_of(batch.tables)
        if warehouses & self.left_out.names():
            return False
        try:
            self._forward(batch)
        except Exception as error:
            for name in warehouses:
                self.left_out.fail(name, error)
            return False
        for name in warehouses:
            self.left_out.succeed(name)
        return True

    def _warehouses_of(self, tables: list[TableChanges]) -> set[str]:
        return {name for table in tables for name in table.sinks} & self.warehouses

    def _note_failure(self, batch: LedgerBatch, error: Exception) -> None:
        log.error(
            "batch could not be taken", source=self._outbox.source, batch_id=batch.batch_id,
            error=f"{type(error).__name__}: {error}",
        )  # fmt: skip
        # Where the source itself has failed, the log is all there is.
        with contextlib.suppress(psycopg.Error):
            self._outbox.note_failure(batch, f"{type(error).__name__}: {error}")
