"""The taking of one batch after the other, with an eye on what is paused and on how much is under way.

What a source's drain and the drains of its shards have in common.
"""

import time
from collections.abc import Callable

from pgevents import log
from pgevents.config import Pipeline
from transform.collector import rows_let_go
from transform.delivery import Delivery
from transform.source.captured import LedgerBatch
from transform.source.ledger import Standing
from transform.source.outbox import Outbox

BACK_PRESSURE_PAUSE_SECONDS = 0.02
# So long a writer that confirms nothing may keep the other sinks waiting, and then it is done without.
PATIENCE_SECONDS = 10.0


class Taking:
    """Takes batches of one source. `out_of_time` says when to let go; after `stalled_seconds` a batch that
    the writer was given and has not confirmed is given to it once more, never when that is None."""

    def __init__(
        self,
        pipeline: Pipeline,
        outbox: Outbox,
        delivery: Delivery,
        out_of_time: Callable[[], bool],
        stalled_seconds: float | None,
    ) -> None:
        self._pipeline = pipeline
        self._outbox = outbox
        self.delivery = delivery
        self.left_out = delivery.left_out
        self.out_of_time = out_of_time
        self._stalled_seconds = stalled_seconds
        self._patience_seconds = PATIENCE_SECONDS
        self.taken_at = float("-inf")
        self._repeated_at = time.monotonic()

    def look(self) -> Standing:
        """How things stand; notices what is paused now."""
        standing = self._outbox.standing()
        self.left_out.pause(standing.paused)
        return standing

    def is_paused(self) -> bool:
        """Whether the source itself is paused."""
        return self.look().is_paused

    def may_take(self) -> bool:
        """Whether to take one more batch; False when the time is up or the source is paused."""
        standing = self.look()
        return not standing.is_paused and self.wait_for_writer(standing.in_flight)

    def take(self, batch: LedgerBatch) -> None:
        """Takes a batch to its sinks. Raises what `Delivery.take` raises."""
        try:
            self.delivery.take(batch)
        finally:
            rows_let_go()
        self.taken_at = time.monotonic()
        if batch.kind == "replay":
            # Events may have come to wait behind those that it has sent again, while it did so.
            self.replay_what_is_free()

    def replay_what_is_free(self) -> None:
        """Sends again the letters that nothing is before any more."""
        if not self.is_paused():
            self._outbox.reclaim_letters()
            self._outbox.replay_waiting(
                self._pipeline.drain.batch_events, "nothing is before it any more that it could wait behind"
            )

    def repeat(self, overdue_seconds: float) -> None:
        """Gives the writer once more what it was given so long ago and has not confirmed."""
        self._repeated_at = time.monotonic()
        for batch in self._outbox.overdue(overdue_seconds):
            if self.out_of_time() or self.is_paused():
                return
            log.warning(
                "batch was forwarded and never applied", source=self._outbox.source, batch_id=batch.batch_id
            )
            self.take(batch)

    def repeat_if_due(self) -> None:
        """The same, every now and then: a sweep does not come by as long as this drain is awake."""
        stalled_seconds = self._stalled_seconds
        if stalled_seconds is not None and time.monotonic() > self._repeated_at + stalled_seconds:
            self.repeat(stalled_seconds)

    def has_writer(self) -> bool:
        """Whether there is a warehouse and it is at hand."""
        return bool(self.delivery.warehouses - self.left_out.names())

    def wait_for_writer(self, in_flight: int) -> bool:
        """Holds back while too many batches are forwarded and not applied; False when the time is up.

        When the writer confirms none for a while, the other sinks go on without it.
        """
        fewest, since = in_flight, time.monotonic()
        while fewest >= self._pipeline.drain.in_flight and self.has_writer():
            if self.out_of_time():
                return False
            if self.delivery.has_sinks and time.monotonic() >= since + self._patience_seconds:
                self._go_on_without_writer()
                break
            time.sleep(BACK_PRESSURE_PAUSE_SECONDS)
            if (in_flight := self._outbox.standing().in_flight) < fewest:
                fewest, since = in_flight, time.monotonic()
        if fewest < self._pipeline.drain.in_flight:
            self._patience_seconds = PATIENCE_SECONDS
        return not self.out_of_time()

    def _go_on_without_writer(self) -> None:
        if self._stalled_seconds is not None:
            self.repeat(self._stalled_seconds)
        for warehouse in self.delivery.warehouses:
            self.left_out.rest(warehouse, "the writer confirms nothing")
        self._patience_seconds = 0.0
