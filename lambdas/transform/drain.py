"""The drain: from a source's outbox to its sinks, batch by batch, until there is nothing left.

One drain a source at a time, by a lock in the source. While it is held, writers do not ring. So a drain that
is about to end lets go of the lock, waits for the transactions that were about to commit at that moment, and
looks once more: one of them may have found the lock taken, rung nobody, and committed after the last look.

A sink that is paused or fails keeps nothing from the others: what is held for it is taken in between.

Nor does a drain end as soon as it finds nothing: for a moment it looks on, since the next event would have to
ring for another one, and wait until that is there.
"""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

from pgevents import log
from pgevents.config import Pipeline
from pgevents.identity import SourceReplaced
from transform.collector import rows_let_go
from transform.delivery import BatchWriter, Delivery, Drained
from transform.gathering import Gathering
from transform.source.captured import LedgerBatch
from transform.source.epochs import NewestOf
from transform.source.ledger import Standing
from transform.source.outbox import Outbox
from transform.source.snapshots import CHUNK_ROWS

__all__ = ["BatchWriter", "Drain", "Drained"]

_BACK_PRESSURE_PAUSE_SECONDS = 0.02
# So long a writer that confirms nothing may keep the other sinks waiting, and then it is done without.
_PATIENCE_SECONDS = 10.0
_HELD_AT_ONCE = 16
# About what a ring and an invocation take: whoever waits that long for an event never pays twice for it.
_LINGER_SECONDS = 0.05
_LINGER_PAUSE_SECONDS = 0.002
_GATHER_PAUSE_SECONDS = 0.004
_KEEP_DAYS = 7
_PURGED_AT_ONCE = 1_000


class Drain:
    """Drains one source. `forward` hands a batch to the Redshift writer; `out_of_time` says when to let go;
    `newest` asks sinks what they hold, first of all when `is_new_source`: a source that is reached for the
    first time, or once more, may have been restored meanwhile."""

    def __init__(
        self,
        pipeline: Pipeline,
        outbox: Outbox,
        sinks: dict[str, BatchWriter],
        forward: BatchWriter,
        out_of_time: Callable[[], bool],
        newest: Mapping[str, NewestOf] = MappingProxyType({}),
        stalled_seconds: float = 90.0,
        is_new_source: bool = False,
    ) -> None:
        self._pipeline = pipeline
        self._outbox = outbox
        self._has_sinks = bool(sinks)
        self._delivery = Delivery(pipeline, outbox, sinks, forward)
        self._left_out = self._delivery.left_out
        self._out_of_time = out_of_time
        self._newest = newest
        self._is_new_source = is_new_source
        self._stalled_seconds = stalled_seconds
        self._patience_seconds = _PATIENCE_SECONDS
        self._taken_at = float("-inf")
        self._repeated_at = time.monotonic()
        self._gathering = Gathering(_PATIENCE_SECONDS)

    def run(self, overdue_seconds: float | None = None) -> Drained:
        """Drains until nothing is left, the time is up, the source is paused, or another drain is awake.

        With `overdue_seconds`, batches forwarded so long ago and still not applied are forwarded once more,
        the sinks are asked whether they hold what the ledger has lost, and the ledger is tidied up.
        Raises the error of a sink that failed when everything else is done.
        """
        while self._outbox.try_lock():
            try:
                finished = self._drain_epochs(overdue_seconds)
                self._outbox.rotate()
                if overdue_seconds is not None:
                    self._purge()
            finally:
                self._outbox.unlock()
            if not finished or not self._left_behind():
                break
        if failure := self._left_out.failure():
            raise failure
        return self._delivery.drained

    def _drain_epochs(self, overdue_seconds: float | None) -> bool:
        """Drains in the source's present epoch, and in a new one when the source turns out to be restored."""
        if self._is_paused():
            return False
        if overdue_seconds is not None or self._is_new_source:
            self._is_new_source = False
            self._outbox.compare_tokens(self._newest)
        self._outbox.renew_epoch()
        while True:
            try:
                if overdue_seconds is not None:
                    self._replay_what_is_free()
                    self._repeat(overdue_seconds)
                return self._drain()
            except SourceReplaced as replaced:
                self._outbox.begin_epoch(replaced)

    def _drain(self) -> bool:
        """True when nothing is left to be taken, False when the time is up or the source is paused."""
        while True:
            for batch in self._outbox.open():
                if not self._may_take():
                    return False
                self._take(batch)
            if time.monotonic() > self._repeated_at + self._stalled_seconds:
                # A sweep that would repeat them does not come by as long as this drain is awake.
                self._repeat(self._stalled_seconds)
            standing = self._look()
            if self._out_of_time() or standing.is_paused:
                return False
            caught_up = self._catch_up() if standing.has_held else 0
            self._gather(standing.in_flight)
            advanced = self._advance_snapshots()
            if not (self._open_batches() or caught_up or advanced or self._linger()):
                return True

    def _open_batches(self) -> int:
        limits = self._pipeline.drain
        return self._outbox.open_batches(limits.batch_events, limits.batch_bytes)

    def _gather(self, in_flight: int) -> None:
        """Lets events gather while the writer has enough to do."""
        began, pause = time.monotonic(), _GATHER_PAUSE_SECONDS
        while self._delivery.warehouses - self._left_out.names():
            if self._gathering.is_over(in_flight, began) or self._out_of_time():
                return
            time.sleep(pause)
            pause = min(2 * pause, _BACK_PRESSURE_PAUSE_SECONDS)
            in_flight = self._outbox.standing().in_flight

    def _linger(self) -> bool:
        """Waits for a moment after the last batch; whether another one has come."""
        until, pause = self._taken_at + _LINGER_SECONDS, _LINGER_PAUSE_SECONDS
        while time.monotonic() < until and not self._out_of_time():
            # The longer nothing comes, the less often it is worth a look.
            time.sleep(pause)
            pause *= 2
            if self._open_batches():
                return True
        return False

    def _advance_snapshots(self) -> bool:
        """Writes one more chunk of what was asked for into the outbox, unless enough lies there already."""
        if not self._outbox.has_snapshots(self._pipeline.drain.in_flight):
            return False
        may_go_on = self._wait_for_writer(self._outbox.standing().in_flight)
        return may_go_on and self._outbox.advance_snapshots(CHUNK_ROWS) is not None

    def _left_behind(self) -> bool:
        self._outbox.wait_for_commits(self._out_of_time)
        if self._out_of_time():
            return False
        if self._outbox.has_events() or self._outbox.open():
            return True
        return self._outbox.wait_for_snapshots(self._pipeline.drain.in_flight, self._out_of_time)

    def _catch_up(self) -> int:
        """Takes some of the batches that are held for sinks which are at hand again; how many."""
        taken = 0
        without = self._left_out.names()
        for batch in self._outbox.held_batches(without, _HELD_AT_ONCE):
            if not self._may_take() or not self._left_out.names() <= without:
                break
            self._take(batch)
            taken += 1
        return taken

    def _look(self) -> Standing:
        standing = self._outbox.standing()
        self._left_out.pause(standing.paused)
        return standing

    def _is_paused(self) -> bool:
        return self._look().is_paused

    def _may_take(self) -> bool:
        """Whether to take one more batch; False when the time is up or the source is paused."""
        standing = self._look()
        return not standing.is_paused and self._wait_for_writer(standing.in_flight)

    def _wait_for_writer(self, in_flight: int) -> bool:
        """Holds back while too many batches are forwarded and not applied; False when the time is up.

        When the writer confirms none for a while, the other sinks go on without it.
        """
        fewest, since = in_flight, time.monotonic()
        while fewest >= self._pipeline.drain.in_flight and self._delivery.warehouses - self._left_out.names():
            if self._out_of_time():
                return False
            if self._has_sinks and time.monotonic() >= since + self._patience_seconds:
                self._go_on_without_writer()
                break
            time.sleep(_BACK_PRESSURE_PAUSE_SECONDS)
            if (in_flight := self._outbox.standing().in_flight) < fewest:
                fewest, since = in_flight, time.monotonic()
        if fewest < self._pipeline.drain.in_flight:
            self._patience_seconds = _PATIENCE_SECONDS
        return not self._out_of_time()

    def _go_on_without_writer(self) -> None:
        self._repeat(self._stalled_seconds)
        for warehouse in self._delivery.warehouses:
            self._left_out.rest(warehouse, "the writer confirms nothing")
        self._patience_seconds = 0.0

    def _repeat(self, overdue_seconds: float) -> None:
        self._repeated_at = time.monotonic()
        for batch in self._outbox.overdue(overdue_seconds):
            if self._out_of_time() or self._is_paused():
                return
            log.warning(
                "batch was forwarded and never applied", source=self._outbox.source, batch_id=batch.batch_id
            )
            self._take(batch)

    def _take(self, batch: LedgerBatch) -> None:
        try:
            self._delivery.take(batch)
        finally:
            rows_let_go()
        self._taken_at = time.monotonic()
        if batch.kind == "replay":
            # Events may have come to wait behind those that it has sent again, while it did so.
            self._replay_what_is_free()

    def _replay_what_is_free(self) -> None:
        if not self._is_paused():
            self._outbox.reclaim_letters()
            self._outbox.replay_waiting(
                self._pipeline.drain.batch_events, "nothing is before it any more that it could wait behind"
            )

    def _purge(self) -> None:
        while self._outbox.purge(_KEEP_DAYS, _PURGED_AT_ONCE) and not self._out_of_time():
            pass
