"""Waiting until what has committed so far has been applied."""

import time
from collections.abc import Callable, Mapping

import msgspec

from ops import ledger
from ops.endpoints import connect

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
        seen = {name: ledger.snapshot(name, connection) for name, connection in connections.items()}
        until = time.monotonic() + seconds
        while True:
            left = {
                name: ledger.unapplied(connection, seen[name]) for name, connection in connections.items()
            }
            progress(sum(left.values()))
            if not any(left.values()) or time.monotonic() >= until:
                dead = {name: ledger.dead_letters(connection) for name, connection in connections.items()}
                return Outcome(left, dead)
            time.sleep(_POLL_SECONDS)
    finally:
        for connection in connections.values():
            connection.close()
