"""The drain: from a source's outbox to its sinks, batch by batch, until there is nothing left.

One drain a source at a time, by a lock in the source. While it is held, writers do not ring. So a drain that
is about to end lets go of the lock, waits for the transactions that were about to commit at that moment, and
looks once more: one of them may have found the lock taken, rung nobody, and committed after the last look.

A sink that is paused or fails keeps nothing from the others: what is held for it is taken in between.
Of a source in shards it takes the first one itself, and opens no window before the others are through.

Nor does a drain end as soon as it finds nothing: for a moment it looks on, since the next event would have to
ring for another one, and wait until that is there.
"""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

from pgevents.config import Pipeline
from pgevents.identity import SourceReplaced
from transform.delivery import BatchWriter, Delivery, Drained
from transform.gathering import Gathering
from transform.shards import Shards, Wake
from transform.source.epochs import NewestOf
from transform.source.outbox import Outbox
from transform.source.snapshots import CHUNK_ROWS
from transform.taking import BACK_PRESSURE_PAUSE_SECONDS, PATIENCE_SECONDS, Taking

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
        wake: Wake | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._outbox = outbox
        delivery = Delivery(pipeline, outbox, sinks, forward)
        self._taking = Taking(pipeline, outbox, delivery, out_of_time, stalled_seconds)
        self._left_out = delivery.left_out
        self._out_of_time = out_of_time
        self._newest = newest
        self._is_new_source = is_new_source
        self._gathering = Gathering(PATIENCE_SECONDS)
        self._most_shards = pipeline.sources[outbox.source].shards
        self._shards = Shards(outbox, self._taking, wake)

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
        return self._taking.delivery.drained

    def _drain_epochs(self, overdue_seconds: float | None) -> bool:
        """Drains in the source's present epoch, and in a new one when the source turns out to be restored."""
        if self._taking.is_paused():
            return False
        if overdue_seconds is not None or self._is_new_source:
            self._is_new_source = False
            self._outbox.compare_tokens(self._newest)
        self._outbox.renew_epoch()
        while True:
            try:
                if overdue_seconds is not None:
                    self._taking.replay_what_is_free()
                    self._taking.repeat(overdue_seconds)
                return self._drain()
            except SourceReplaced as replaced:
                self._outbox.begin_epoch(replaced)

    def _drain(self) -> bool:
        """True when nothing is left to be taken, False when the time is up or the source is paused."""
        while True:
            for batch in self._outbox.open():
                if not self._taking.may_take():
                    return False
                if self._most_shards > 1:
                    self._shards.wake()
                self._taking.take(batch)
            self._taking.repeat_if_due()
            standing = self._taking.look()
            if self._out_of_time() or standing.is_paused:
                return False
            if standing.shards_wait:
                if not self._shards.finish():
                    return False
                continue
            caught_up = self._catch_up() if standing.has_held else 0
            self._gather(standing.in_flight)
            advanced = self._advance_snapshots()
            if not (self._open_batches() or caught_up or advanced or self._linger()):
                return True

    def _open_batches(self) -> int:
        limits = self._pipeline.drain
        opened = self._outbox.open_batches(limits.batch_events, limits.batch_bytes, self._most_shards)
        if opened:
            self._shards.forget()
        return opened

    def _gather(self, in_flight: int) -> None:
        """Lets events gather while the writer has enough to do."""
        began, pause = time.monotonic(), _GATHER_PAUSE_SECONDS
        while self._taking.has_writer():
            if self._gathering.is_over(in_flight, began) or self._out_of_time():
                return
            time.sleep(pause)
            pause = min(2 * pause, BACK_PRESSURE_PAUSE_SECONDS)
            in_flight = self._outbox.standing().in_flight

    def _linger(self) -> bool:
        """Waits for a moment after the last batch; whether another one has come."""
        until, pause = self._taking.taken_at + _LINGER_SECONDS, _LINGER_PAUSE_SECONDS
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
        may_go_on = self._taking.wait_for_writer(self._outbox.standing().in_flight)
        return may_go_on and self._outbox.advance_snapshots(CHUNK_ROWS) is not None

    def _left_behind(self) -> bool:
        self._outbox.wait_for_commits(self._out_of_time)
        if self._out_of_time():
            return False
        if self._outbox.has_events() or self._outbox.open() or self._outbox.standing().shards_wait:
            return True
        return self._outbox.wait_for_snapshots(self._pipeline.drain.in_flight, self._out_of_time)

    def _catch_up(self) -> int:
        """Takes some of the batches that are held for sinks which are at hand again; how many."""
        taken = 0
        without = self._left_out.names()
        for batch in self._outbox.held_batches(without, _HELD_AT_ONCE):
            if not self._taking.may_take() or not self._left_out.names() <= without:
                break
            self._taking.take(batch)
            taken += 1
        return taken

    def _purge(self) -> None:
        while self._outbox.purge(_KEEP_DAYS, _PURGED_AT_ONCE) and not self._out_of_time():
            pass
