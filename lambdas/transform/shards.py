"""The shards of a source: parts of a large window's keys, each taken by a drain of its own.

The source's own drain alone opens windows, and the next one when every shard has taken its part of the last.
It takes shard 0 itself, wakes a Lambda for each of the others, and takes over for one that does not come: a
shard needs no bell, no sweep and no last look of its own. docs/adr/0028-shards.md says why.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from pgevents import log
from pgevents.config import Pipeline
from pgevents.errors import TransientError
from pgevents.identity import SourceReplaced
from transform.delivery import BatchWriter, Delivery, Drained
from transform.invoking import invoke
from transform.source.outbox import Outbox
from transform.taking import Taking

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

Wake = Callable[[int], object]
"""Invokes the transform Lambda for the shard of this number. Raises TransientError."""

_POLL_SECONDS = 0.005
_LONGEST_POLL_SECONDS = 0.04
# What a new Lambda may take to come. Then somebody else does its work, and it is called once more.
_COMING_SECONDS = 3.0
# So long nobody is called after a call that failed.
_SILENT_SECONDS = 30.0
# The source's own drain, which has taken over, lets go of a shard's lock after each batch.
_LOCK_SECONDS = 1.0
_LOCK_PAUSE_SECONDS = 0.01
# Windows follow each other closely under load: a drain that waits for a moment spares an invocation.
_LINGER_SECONDS = 0.25
_LINGER_PAUSE_SECONDS = 0.01


def waking(client: "LambdaClient", function: str, source: str) -> Wake:
    """Wakes shards of a source by asynchronous invocations of a function."""

    def wake(shard: int) -> None:
        invoke(client, function, msgspec.json.encode({"kind": "shard", "source": source, "shard": shard}))

    return wake


class Shards:
    """The other shards as the source's own drain sees them. Without `wake` it takes all of them itself."""

    def __init__(self, outbox: Outbox, taking: Taking, wake: Wake | None) -> None:
        self._outbox = outbox
        self._taking = taking
        self._wake = wake
        # When each shard that is asleep was found so, and when it was called last.
        self._asleep_since: dict[int, float] = {}
        self._called_at: dict[int, float] = {}
        self._call_nobody_until = float("-inf") if wake else float("inf")

    def wake(self) -> bool:
        """Calls each shard whose batches wait while it is asleep; whether any batch of theirs waits."""
        waiting = self._outbox.waiting_shards()
        asleep = {shard for shard, is_awake in waiting.items() if not is_awake}
        now = time.monotonic()
        self._asleep_since = {shard: self._asleep_since.get(shard, now) for shard in asleep}
        for shard in sorted(asleep):
            if now >= self._called_at.get(shard, float("-inf")) + _COMING_SECONDS:
                self._call(shard)
        return bool(waiting)

    def finish(self) -> bool:
        """Waits until no batch of another shard is left to be taken, and takes those that nobody comes for.

        False when the time is up or the source is paused. Raises what taking a batch raises.
        """
        pause = _POLL_SECONDS
        while self.wake():
            if self._taking.out_of_time() or self._taking.is_paused():
                return False
            self._taking.repeat_if_due()
            if not self._take_over():
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_POLL_SECONDS)
        return True

    def forget(self) -> None:
        """Forgets whom it has called: there are other batches now."""
        self._asleep_since.clear()
        self._called_at.clear()

    def _call(self, shard: int) -> None:
        """Calls a shard; after one call that fails nobody for a while, since each may take long to fail."""
        if self._wake is None or time.monotonic() < self._call_nobody_until:
            return
        self._called_at[shard] = time.monotonic()
        try:
            self._wake(shard)
        except TransientError as error:
            log.warning("shard was not woken", source=self._outbox.source, shard=shard, error=str(error))
            self._call_nobody_until = time.monotonic() + _SILENT_SECONDS

    def _take_over(self) -> bool:
        """Takes a batch of each shard that nobody comes for; whether there was one."""
        now = time.monotonic()
        patience = 0.0 if now < self._call_nobody_until else _COMING_SECONDS
        late = [shard for shard, since in self._asleep_since.items() if now >= since + patience]
        taken = [self._take_one(shard) for shard in late]
        return any(taken)

    def _take_one(self, shard: int) -> bool:
        if not self._outbox.try_shard_lock(shard):
            return False
        try:
            batches = self._outbox.open(shard)
            if not batches or not self._taking.may_take():
                return False
            self._taking.take(batches[0])
            return True
        finally:
            self._outbox.unlock_shard(shard)


class ShardDrain:
    """Drains one shard beside the source's own drain, which repeats what is overdue. `forward` and
    `out_of_time` are as that one's."""

    def __init__(
        self,
        pipeline: Pipeline,
        outbox: Outbox,
        sinks: dict[str, BatchWriter],
        forward: BatchWriter,
        out_of_time: Callable[[], bool],
        shard: int,
    ) -> None:
        self._outbox = outbox
        self._taking = Taking(pipeline, outbox, Delivery(pipeline, outbox, sinks, forward), out_of_time, None)
        self._shard = shard

    def run(self) -> Drained:
        """Takes the shard's batches until none is left, the time is up, or the source is paused.

        Does nothing while another drain of the shard is awake. Raises the error of a sink that failed when
        everything else is done.
        """
        if self._has_lock():
            try:
                while self._take_what_waits() and self._linger():
                    pass
                if self._taking.delivery.drained.dead:
                    # It may have died behind one that a replay was putting right at that moment.
                    self._taking.replay_what_is_free()
            except SourceReplaced as replaced:
                # A new epoch is for the source's own drain to begin, which meets the same batch.
                log.warning(
                    "shard is left to the source's own drain", source=self._outbox.source, shard=self._shard,
                    reason=str(replaced),
                )  # fmt: skip
            finally:
                self._outbox.unlock_shard(self._shard)
        if failure := self._taking.left_out.failure():
            raise failure
        return self._taking.delivery.drained

    def _has_lock(self) -> bool:
        until = time.monotonic() + _LOCK_SECONDS
        while not (has_lock := self._outbox.try_shard_lock(self._shard)) and time.monotonic() < until:
            time.sleep(_LOCK_PAUSE_SECONDS)
        return has_lock

    def _take_what_waits(self) -> bool:
        """False when the time is up or the source is paused."""
        for batch in self._outbox.open(self._shard):
            if not self._taking.may_take():
                return False
            self._taking.take(batch)
        return True

    def _linger(self) -> bool:
        """Waits for a moment for the next window; whether there is another batch."""
        until, pause = time.monotonic() + _LINGER_SECONDS, _LINGER_PAUSE_SECONDS
        while time.monotonic() < until and not self._taking.out_of_time():
            time.sleep(pause)
            pause *= 2
            if self._outbox.open(self._shard):
                return True
        return False
