"""How long events gather before the next batch, by how many the Redshift writer has under way.

A transaction of Redshift costs about the same whatever is in it. So each batch more that waits in front of it
makes the next one wait four times as long to be opened: batches grow until there are as few of them as the
warehouse takes, whether it commits in ten milliseconds or in two seconds, and an event waits for a few
transactions and not for a queue of them.
"""

import time

# With so many under way the writer has enough to do.
_ENOUGH_IN_FLIGHT = 2
_SECONDS = 0.05
_LONGER = 4.0


class Gathering:
    """What a drain has seen of the writer's progress, and what follows for its next batch.

    A writer that has confirmed nothing for `patience_seconds` has failed, or is not there: nobody gathers for
    it.
    """

    def __init__(self, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._in_flight = 0
        self._confirmed_at = time.monotonic()

    def is_over(self, in_flight: int, since: float) -> bool:
        """Whether events have gathered for long enough since then (a monotonic time), with so many batches
        under way now."""
        now = time.monotonic()
        if in_flight < max(self._in_flight, _ENOUGH_IN_FLIGHT):
            self._confirmed_at = now
        self._in_flight = in_flight
        if in_flight < _ENOUGH_IN_FLIGHT:
            return True
        until = since + _SECONDS * _LONGER ** (in_flight - _ENOUGH_IN_FLIGHT)
        return now >= max(since + _SECONDS, min(until, self._confirmed_at + self._patience_seconds))
