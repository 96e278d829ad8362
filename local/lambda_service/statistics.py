"""What is counted of a function."""

from collections import deque

import msgspec

KEPT_DURATIONS = 10_000


class Counts(msgspec.Struct):
    """Counts since the service started.

    `sync` and `async` count what callers asked for, `errors` failed attempts, `retries` further attempts of
    events, `throttles` invocations that found no free slot, `dead` events given up (whether or not there is
    an on-failure destination), `service_errors` attempts that never reached the function.
    """

    sync: int = 0
    asynchronous: int = msgspec.field(default=0, name="async")
    successes: int = 0
    errors: int = 0
    retries: int = 0
    throttles: int = 0
    dead: int = 0
    service_errors: int = 0
    destinations: int = 0
    destination_failures: int = 0
    cold_starts: int = 0
    dropped: int = 0
    duplicated: int = 0
    delayed: int = 0
    reordered: int = 0


class Durations:
    """How long the last ten thousand invocations took, initialisation left out."""

    def __init__(self) -> None:
        self._milliseconds: deque[float] = deque(maxlen=KEPT_DURATIONS)

    def add(self, seconds: float) -> None:
        """One invocation more."""
        self._milliseconds.append(seconds * 1000)

    def percentile(self, percent: float) -> float | None:
        """The duration (ms) that so many percent did not exceed; None before the first invocation."""
        if not self._milliseconds:
            return None
        ranked = sorted(self._milliseconds)
        return ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))]


class FunctionStatistics(msgspec.Struct, frozen=True):
    """A function's figures now. Durations are in milliseconds."""

    counts: Counts
    queued: int
    busy: int
    environments: int
    duration_p50_ms: float | None
    duration_p99_ms: float | None
