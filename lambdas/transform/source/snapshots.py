"""Requests for the rows of a table: the drain moves them forward, a chunk a turn.

docs/adr/0014-epochs-and-snapshots.md says why a row comes out right whatever happens to it meanwhile.
"""

import time
from collections.abc import Callable
from typing import Any

import msgspec
import psycopg

from pgevents import log
from transform.source.session import SourceSession

CHUNK_ROWS = 5_000
_PATIENCE_SECONDS = 2.0
_POLL_SECONDS = 0.02
_LOCKED_SECONDS = 0.25
_LOCKED_TIMES = 8


class Snapshot(msgspec.Struct, frozen=True):
    """A request and how far it has come. `rows` counts the events that it has written into the outbox."""

    request_id: int
    table: str
    kind: str
    state: str
    rows: int
    error: str | None


class Snapshots(SourceSession):
    """The requests for snapshots in one source."""

    _times_locked = 0

    def has_snapshots(self, most_held: int) -> bool:
        """Whether a request can be moved forward now: none is while so many batches wait for a sink."""
        return bool(self._value("select pgevents.has_snapshots(%s)", (most_held,)))

    def wait_for_snapshots(self, most_held: int, out_of_time: Callable[[], bool]) -> bool:
        """Waits for the transactions and locks that requests wait for; whether one can be moved then.

        Two seconds at most. What takes longer is left to the next doorbell or sweep.
        """
        until = time.monotonic() + _PATIENCE_SECONDS
        if self._times_locked:
            # Only trying tells whether a table is locked still.
            time.sleep(_LOCKED_SECONDS)
            return self._times_locked < _LOCKED_TIMES and self.has_snapshots(most_held)
        while self._value(_UNFINISHED) and not out_of_time() and time.monotonic() < until:
            if self.has_snapshots(most_held):
                return True
            time.sleep(_POLL_SECONDS)
        return False

    def advance_snapshots(self, chunk_rows: int) -> Snapshot | None:
        """Moves one request forward by a chunk; None when nothing could be done.

        A request that waits for a transaction to end keeps neither the others nor the drain. No more does one
        that the server fails for the moment, by a time limit or a full disk.
        """
        row = self._advanced(chunk_rows)
        if row is None:
            self._times_locked += 1
            return None
        self._times_locked = 0
        moved = Snapshot(*row)
        fields = msgspec.structs.asdict(moved) | {"source": self.source}
        if moved.state == "failed":
            log.error("snapshot failed", **fields)
        elif moved.state == "finished":
            log.info("snapshot finished", **fields)
        return moved

    def _advanced(self, chunk_rows: int) -> tuple[Any, ...] | None:
        try:
            return self._connection.execute(_ADVANCE, (chunk_rows,)).fetchone()
        except psycopg.Error as error:
            if self._connection.closed:
                raise
            log.error("snapshot could not be moved forward", source=self.source, error=str(error).strip())
            return None


_UNFINISHED = "select exists (select from pgevents.snapshot_request where state in ('waiting', 'running'))"

_ADVANCE = """
select request_id, table_name, kind, state, row_count, error from pgevents.advance_snapshots(%s)
"""
