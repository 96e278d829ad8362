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
from pgevents.errors import TransientError
from pgevents.identity import SourceReplaced
from transform.delivery import Drained
from transform.sinks.aws_errors import aws_errors
from transform.source.outbox import Outbox
from transform.taking import Taking

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

Wake = Callable[[int], object]
"""Invokes the transform Lambda for the shard of this number. Raises TransientError."""

_POLL_SECONDS = 0.005
_LONGEST_POLL_SECONDS = 0.04
# What a new Lambda may take to come, and then somebody else does its work.
_COMING_SECONDS = 3.0
# Windows follow each other closely under load: a drain that waits for a moment spares an invocation.
_LINGER_SECONDS = 0.25
_LINGER_PAUSE_SECONDS = 0.01


def waking(client: "LambdaClient", function: str, source: str) -> Wake:
    """Wakes shards of a source by asynchronous invocations of a function."""

    def wake(shard: int) -> None:
        event = msgspec.json.encode({"kind": "shard", "source": source, "shard": shard})
        with aws_errors(f"invoke {function}"):
            client.invoke(FunctionName=function, InvocationType="Event", Payload=event)

    return wake


class Shards:
    """The other shards as the source's own drain sees them. Without `wake` it takes all of them itself."""

    def __init__(self, outbox: Outbox, taking: Taking, wake: Wake | None) -> None:
        self._outbox = outbox
        self._taking = taking
        self._wake = wake
        self._woken_at: dict[int, float] = {}

    def wake(self) -> bool:
        """Wakes each shard whose batches wait and that was not woken for them yet; whether there is one."""
        waiting = self._outbox.waiting_shards()
        self._woken_at = {shard: at for shard, at in self._woken_at.items() if shard in waiting}
        for shard, is_awake in waiting.items():
            if not is_awake and shard not in self._woken_at:
                self._ring(shard)
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

    def _ring(self, shard: int) -> None:
        self._woken_at[shard] = float("-inf")
        if self._wake is not None:
            try:
                self._wake(shard)
                self._woken_at[shard] = time.monotonic()
            except TransientError as error:
                log.warning("shard was not woken", source=self._outbox.source, shard=shard, error=str(error))

    def _take_over(self) -> bool:
        """Takes a batch of each shard whose drain was called long ago and is not there; whether it took any.

        Then that is called once more: it may have ended for want of time.
        """
        since = time.monotonic() - _COMING_SECONDS
        late = [shard for shard, at in self._woken_at.items() if at <= since]
        taken = [shard for shard in late if self._take_one(shard)]
        for shard in taken:
            self._ring(shard)
        return bool(taken)

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
    """Drains one shard beside the source's own drain."""

    def __init__(self, outbox: Outbox, taking: Taking, shard: int) -> None:
        self._outbox = outbox
        self._taking = taking
        self._shard = shard

    def run(self) -> Drained:
        """Takes the shard's batches until none is left, the time is up, or the source is paused.

        Does nothing while another drain of the shard is awake. Raises the error of a sink that failed when
        everything else is done.
        """
        if self._outbox.try_shard_lock(self._shard):
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
