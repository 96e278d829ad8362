"""The delivery of one batch: routed, written to every sink at hand, handed to the writer, and noted.

A sink that is paused or fails does not stop the others: the batch is held for it, and taken again later.
What a sink refuses is out of the batch before the next one keeps it; what no sink can refuse any more, as the
writing of an archive's finished objects, is done while the batch is handed to the writer.
"""

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
import psycopg

from pgevents import log
from pgevents.batch import Batch, TableChanges
from pgevents.config import Pipeline, RedshiftSink
from pgevents.event import Version
from pgevents.identity import SourceReplaced
from pgevents.refusals import RefusedChanges
from transform.left_out import LeftOut
from transform.routing import Routed, route_batch
from transform.source.captured import LedgerBatch
from transform.source.dead_letters import without
from transform.source.outbox import Outbox


class Rest(msgspec.Struct, frozen=True):
    """What remains to be done of a batch that nothing is refused of any more, in a thread of its own."""

    finish: Callable[[], object]


BatchWriter = Callable[[Batch], object]
"""Takes a batch whole, or but for the Rest that it returns, or raises; taking it again changes nothing."""


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
        self.has_sinks = bool(sinks)
        self.left_out = LeftOut()
        self.drained = Drained()

    def take(self, batch: LedgerBatch) -> None:
        """Writes one batch to every sink at hand and hands it to the writer. Safe to do again from the start.

        Raises SourceReplaced when a sink knows a later state of the source than the source itself, and
        whatever keeps the batch from being read or routed at all.
        """
        started = time.monotonic()
        try:
            routed, missing, rests = self._written(batch)
            missing |= self._hand_on(batch, routed.batch, missing, rests)
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

    def _written(self, batch: LedgerBatch) -> tuple[Routed, set[str], dict[str, Rest]]:
        """Routes a batch and writes it to the sinks but Redshift; what one refuses becomes a dead letter.

        Also returns the sinks that it was not written to, and what remains to be done for others.
        """
        tables = without(self._outbox.read(batch), self._outbox.buried(batch))
        refused = self._outbox.refused(batch)
        while True:
            dead_keys = self._outbox.dead_keys(batch, tables)
            with self._outbox.kept_alive():
                routed = route_batch(self._pipeline, self._outbox.source, batch, tables, dead_keys, refused)
            if routed.dead:
                self._outbox.bury(batch, routed.dead)
            missing: set[str] = set()
            rests: dict[str, Rest] = {}
            newly_refused = self._write(routed.batch, refused, missing, rests)
            if not newly_refused:
                return routed, missing, rests
            refused |= newly_refused

    def _write(
        self, batch: Batch, refused: dict[int, str], missing: set[str], rests: dict[str, Rest]
    ) -> dict[int, str]:
        """Writes to each sink at hand; returns what the first one refused, by seq.

        Adds to `missing` the sinks that have nothing of it, and to `rests` what others still have to do.
        """
        for name, write in self._sinks.items():
            part = batch.for_sink(name)
            if not part.tables:
                continue
            if name in self.left_out.names():
                missing.add(name)
                continue
            try:
                rest = write(part)
                if isinstance(rest, Rest):
                    rests[name] = rest
                else:
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

    def _hand_on(
        self, batch: LedgerBatch, routed: Batch, missing: set[str], rests: dict[str, Rest]
    ) -> set[str]:
        """Hands the batch to the writer, beside what else remains to be done, and notes how far it has come.

        Returns what it waits for because of that.
        """
        tables = [table for table in routed.tables if self.warehouses & set(table.sinks)]
        waiting: set[str] = set()
        is_forwarded = bool(tables) and not batch.confirmed
        with ThreadPoolExecutor(max(1, len(rests)), "rest") as threads:
            running = {name: threads.submit(rest.finish) for name, rest in rests.items()}
            if is_forwarded and not self._forwarded(msgspec.structs.replace(routed, tables=tables)):
                is_forwarded, waiting = False, self._warehouses_of(tables)
        # Who is left out is known to this thread alone.
        waiting |= {name for name, done in running.items() if not self._succeeded({name}, done.result)}
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
        return self._succeeded(warehouses, lambda: self._forward(batch))

    def _succeeded(self, sinks: set[str], done: Callable[[], object]) -> bool:
        """Whether something for these sinks went well; else they are left out for a while."""
        try:
            done()
        except Exception as error:
            for name in sinks:
                self.left_out.fail(name, error)
            return False
        for name in sinks:
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
