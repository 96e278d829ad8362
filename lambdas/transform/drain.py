"""The drain: from a source's outbox to its sinks, batch by batch, until there is nothing left.

One drain a source at a time, by a lock in the source. While it is held, writers do not ring. So a drain that
is about to end lets go of the lock, waits for the transactions that were about to commit at that moment, and
looks once more: one of them may have found the lock taken, rung nobody, and committed after the last look.
"""

import time
from collections.abc import Callable

import msgspec

from pgevents import log
from pgevents.batch import Batch
from pgevents.config import Pipeline, RedshiftSink
from pgevents.event import Version
from pgevents.refusals import RefusedChanges
from transform.captured import LedgerBatch
from transform.outbox import Outbox
from transform.routing import Routed, route_batch

_BACK_PRESSURE_PAUSE_SECONDS = 0.02


BatchWriter = Callable[[Batch], object]
"""Takes a batch whole or raises; taking it again changes nothing."""


class Drained(msgspec.Struct):
    """What one drain did."""

    batches: int = 0
    events: int = 0
    dead: int = 0
    dropped: int = 0


class Drain:
    """Drains one source. `forward` hands a batch to the Redshift writer; `out_of_time` says when to let
    go."""

    def __init__(
        self,
        pipeline: Pipeline,
        outbox: Outbox,
        sinks: dict[str, BatchWriter],
        forward: BatchWriter,
        out_of_time: Callable[[], bool],
    ) -> None:
        self._pipeline = pipeline
        self._outbox = outbox
        self._sinks = sinks
        self._forward = forward
        self._out_of_time = out_of_time
        self._warehouses = frozenset(pipeline.sinks_of(RedshiftSink))
        self.drained = Drained()

    def run(self, overdue_seconds: float | None = None) -> Drained:
        """Drains until nothing is left, the time is up, or another drain is awake.

        With `overdue_seconds`, batches forwarded so long ago and still not applied are forwarded once more.
        """
        while self._outbox.try_lock():
            try:
                if overdue_seconds is not None:
                    self._repeat(overdue_seconds)
                finished = self._drain()
                self._outbox.rotate()
            finally:
                self._outbox.unlock()
            if not finished or not self._left_behind():
                break
        return self.drained

    def _drain(self) -> bool:
        """True when nothing is left, False when the time is up."""
        while True:
            for batch in self._outbox.open():
                if not self._wait_for_writer():
                    return False
                self._take(batch)
            if self._out_of_time():
                return False
            if not self._outbox.open_batches(self._pipeline.drain.batch_events):
                return True

    def _left_behind(self) -> bool:
        self._outbox.wait_for_commits(self._out_of_time)
        return self._outbox.has_events() and not self._out_of_time()

    def _wait_for_writer(self) -> bool:
        """Holds back while too many batches are forwarded and not applied; False when the time is up."""
        while self._outbox.in_flight() >= self._pipeline.drain.in_flight:
            if self._out_of_time():
                return False
            time.sleep(_BACK_PRESSURE_PAUSE_SECONDS)
        return not self._out_of_time()

    def _repeat(self, overdue_seconds: float) -> None:
        for batch in self._outbox.overdue(overdue_seconds):
            if self._out_of_time():
                return
            log.warning(
                "batch was forwarded and never applied", source=self._outbox.source, batch_id=batch.batch_id
            )
            self._take(batch)

    def _take(self, batch: LedgerBatch) -> None:
        """Writes one batch to every sink and hands it to the writer. Safe to do again from the start."""
        started = time.monotonic()
        routed = self._written(batch)
        self._hand_on(batch, routed.batch)
        self.drained.batches += 1
        self.drained.events += batch.events
        self.drained.dead += len(routed.dead)
        self.drained.dropped += routed.dropped
        log.info(
            "batch drained", source=self._outbox.source, batch_id=batch.batch_id, events=batch.events,
            dead=len(routed.dead), dropped=routed.dropped, milliseconds=round((time.monotonic() - started) *
            1000),
        )  # fmt: skip

    def _written(self, batch: LedgerBatch) -> Routed:
        """Routes a batch and writes it to every sink but Redshift; what a sink refuses becomes a dead
        letter."""
        tables = self._outbox.read(batch)
        refused = self._outbox.refused(batch)
        while True:
            routed = route_batch(
                self._pipeline, self._outbox.source, batch, tables, self._outbox.dead_keys(), refused
            )
            if routed.dead:
                self._outbox.bury(batch, routed.dead)
            try:
                self._write(routed.batch)
                return routed
            except RefusedChanges as refusal:
                named = {Version.from_number(each.version).seq: str(each) for each in refusal.refusals}
                if named.keys() <= refused.keys():
                    raise
                refused |= named

    def _write(self, batch: Batch) -> None:
        for name, write in self._sinks.items():
            part = batch.for_sink(name)
            if part.tables:
                write(part)

    def _hand_on(self, batch: LedgerBatch, routed: Batch) -> None:
        tables = [table for table in routed.tables if self._warehouses & set(table.sinks)]
        if not tables:
            self._outbox.mark_applied(batch.batch_id)
            return
        self._forward(msgspec.structs.replace(routed, tables=tables))
        self._outbox.mark_forwarded(batch)
