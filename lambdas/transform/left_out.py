"""The sinks that a drain does without, so that they do not keep the others from their batches."""

import time
from collections.abc import Collection

from pgevents import log

# In a drain that never ends, a sink that has come back must not wait for its end.
_REST_SECONDS = 30.0


class LeftOut:
    """The sinks that an operator has paused, and for a while those that failed."""

    def __init__(self) -> None:
        self._paused: frozenset[str] = frozenset()
        self._resting: dict[str, float] = {}
        self._reasons: dict[str, str] = {}
        self._failures: dict[str, Exception] = {}

    def pause(self, paused: Collection[str]) -> None:
        """Takes notice of what is paused now."""
        self._paused = frozenset(paused)

    def fail(self, sink: str, error: Exception) -> None:
        """Leaves a sink out for a while; the others go on."""
        log.error("sink failed and is left out", sink=sink, error=f"{type(error).__name__}: {error}")
        self._failures[sink] = error
        self.rest(sink, f"{type(error).__name__}: {error}")

    def rest(self, sink: str, reason: str) -> None:
        """Leaves a sink out for a while that has not failed."""
        self._resting[sink] = time.monotonic() + _REST_SECONDS
        self._reasons[sink] = reason

    def succeed(self, sink: str) -> None:
        """Forgets that a sink has failed."""
        if sink in self._resting:
            del self._resting[sink], self._reasons[sink]
            self._failures.pop(sink, None)

    def names(self) -> frozenset[str]:
        """The sinks that are left out now."""
        now = time.monotonic()
        return self._paused | {sink for sink, until in self._resting.items() if until > now}

    def reason(self, sink: str) -> str:
        """Why a sink is left out."""
        return "paused" if sink in self._paused else self._reasons.get(sink, "failed")

    def failure(self) -> Exception | None:
        """The first failure that no success has followed."""
        return next(iter(self._failures.values()), None)
