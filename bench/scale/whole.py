"""The whole local pipeline with a source in shards, and what it costs to take a backlog."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from bench.end_to_end.load import commit_rows
from bench.end_to_end.measurement import SOURCE, settle
from bench.end_to_end.project import pipeline
from bench.end_to_end.stack import measured_stack
from bench.faults.arena import Arena
from bench.measure.processor import used_by
from ops import pauses

_SETTLING_SECONDS = 0.5


class WholePipeline:
    """A stack that runs, and how many entries its source has."""

    def __init__(self, arena: Arena, source: psycopg.Connection) -> None:
        self._arena = arena
        self._source = source
        self._entries = 0

    def cost(self, events: int) -> float:
        """What all processes of the stack use for an event of such a backlog, in microseconds."""
        pauses.pause(self._source, pauses.SOURCE, "bench", "a backlog")
        commit_rows(self._source, self._entries, events)
        self._entries += events
        self._arena.sleep(_SETTLING_SECONDS)
        before = self._processor_seconds()
        pauses.resume(self._source, pauses.SOURCE)
        self._arena.transform.invoke({"kind": "doorbell", "source": SOURCE})
        settle(self._source)
        self._arena.sleep(_SETTLING_SECONDS)
        return (self._processor_seconds() - before) / events * 1e6

    def _processor_seconds(self) -> float:
        return used_by({part.pid for part in self._arena.stack.parts()})


@contextmanager
def whole_pipeline(shards: int, batch_events: int) -> Iterator[WholePipeline]:
    """A stack for the length of a block, whose source has so many shards."""
    described = pipeline([SOURCE]).replace(
        f"[sources.{SOURCE}]\n", f"[sources.{SOURCE}]\nshards = {shards}\n"
    )
    described += f"\n[drain]\nbatch_events = {batch_events}\n"
    with (
        measured_stack([SOURCE], described) as arena,
        psycopg.connect(arena.dsns[SOURCE], autocommit=True) as source,
    ):
        yield WholePipeline(arena, source)
