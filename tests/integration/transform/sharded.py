"""A source in shards: the source's own drain, and those of its shards in threads, each with a connection of its own as
a Lambda has one. What the tests of shards work with."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec

from pgevents.batch import Batch
from pgevents.config import Drain as Limits
from pgevents.config import Source
from pgevents.errors import TransientError
from tests.integration.db_triggers.captured import NAME, Captured, no_warehouse
from transform.delivery import BatchWriter, Drained
from transform.drain import Drain
from transform.shards import ShardDrain
from transform.source.outbox import Outbox

SHARDS = 4


class Sharded:
    """`comes` says of a shard whether the drain that was woken for it comes; `writes` is what the sink does with a
    batch, by default what the model does."""

    def __init__(self, captured: Captured, batch_events: int = 100) -> None:
        self.captured = captured
        self.run = captured.run
        sources: dict[str, Source] = {
            NAME: msgspec.structs.replace(captured.pipeline.sources[NAME], shards=SHARDS)
        }
        self.pipeline = msgspec.structs.replace(
            captured.pipeline, sources=sources, drain=Limits(batch_events=batch_events)
        )
        self.comes: Callable[[int], bool] = lambda shard: True
        self.writes: BatchWriter = captured.model.apply
        self.woken: list[int] = []
        self._one_at_a_time = threading.Lock()
        self._pool = ThreadPoolExecutor(2 * SHARDS, "shard")
        self._running: list[Future[Drained]] = []

    def drain(self, seconds: float = 60.0, overdue_seconds: float | None = None) -> Drained:
        """What the source's own drain did. Raises what the drains of shards raise, when it is done."""
        until = time.monotonic() + seconds
        drain = Drain(
            self.pipeline, self.captured.outbox, {"model": self._write}, no_warehouse,
            lambda: time.monotonic() >= until, wake=self._wake,
        )  # fmt: skip
        return drain.run(overdue_seconds)

    def beside(self) -> list[Drained]:
        """What the drains of shards did that were woken since the last time, when they have ended."""
        running, self._running = self._running, []
        return [each.result() for each in running]

    def drain_shard(self, shard: int, outbox: Outbox | None = None) -> Drained:
        """What a Lambda does that was woken for a shard."""
        outbox = outbox or Outbox(NAME, self.captured.lambda_connection())
        sinks: dict[str, BatchWriter] = {"model": self._write}
        return ShardDrain(self.pipeline, outbox, sinks, no_warehouse, lambda: False, shard).run()

    def _wake(self, shard: int) -> None:
        self.woken.append(shard)
        if self.comes(shard):
            self._running.append(self._pool.submit(self.drain_shard, shard))

    def _write(self, batch: Batch) -> object:
        with self._one_at_a_time:
            return self.writes(batch)


def nobody(shard: int) -> bool:
    """A Lambda service that takes no event."""
    raise TransientError("throttled")
