"""Waiting until what has committed so far has been applied."""

import time
from collections.abc import Callable, Mapping

import msgspec
import psycopg

from ops.endpoints import connect
from ops.status import ledger

_POLL_SECONDS = 0.05


class Outcome(msgspec.Struct, frozen=True):
    """How a wait ended: events not applied when the time was up, and events in the dead-letter store, a
    source."""

    unapplied: dict[str, int]
    dead_letters: dict[str, int]

    @property
    def everything_applied(self) -> bool:
        """Whether nothing is left anywhere."""
        return not any(self.unapplied.values()) and not any(self.dead_letters.values())


def wait_until_applied(
    sources: Mapping[str, str], seconds: float, progress: Callable[[int], None] = lambda _: None
) -> Outcome:
    """Waits until everything committed before the call has been applied in every source, at most so long.

    `sources` maps names to DSNs; `progress` is told how many events are left. Later commits are not waited
    for.
    """
    connections = {name: connect(name, dsn) for name, dsn in sources.items()}
    try:
        committed = [_Committed(name, connection) for name, connection in connections.items()]
        until = time.monotonic() + seconds
        while True:
            left = {each.source: each.left() for each in committed}
            progress(sum(left.values()))
            if not any(left.values()) or time.monotonic() >= until:
                dead = {name: ledger.dead_letters(connection) for name, connection in connections.items()}
                return Outcome(left, dead)
            time.sleep(_POLL_SECONDS)
    finally:
        for connection in connections.values():
            connection.close()


class _Committed:
    """What has committed in a source. What capture has sent again for it comes later, and belongs to it."""

    def __init__(self, source: str, connection: psycopg.Connection) -> None:
        self.source = source
        self._connection = connection
        self._seen = ledger.snapshot(source, connection)
        self._unsent = ledger.unsent(connection)

    def left(self) -> int:
        """How many events, and requests of capture, are not done with."""
        if self._unsent and not (unsent := ledger.unsent(self._connection)):
            self._seen = ledger.snapshot(self.source, self._connection)
            self._unsent = unsent
        return ledger.unapplied(self._connection, self._seen) + self._unsent
