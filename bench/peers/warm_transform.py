"""The transform Lambda, warm, in a process of its own: `warm_transform.py SOURCE DSN`.

Its handler is called for each ring that the relay hears, one after the other, as for a reservation of one.
"""

import sys
import time

from ops.relay import relay
from transform.handler import handle

INVOCATION_SECONDS = 300.0


class Context:
    """What the handler asks Lambda for."""

    def __init__(self) -> None:
        self._until = time.monotonic() + INVOCATION_SECONDS

    def get_remaining_time_in_millis(self) -> int:
        """Of this invocation."""
        return int(1_000 * (self._until - time.monotonic()))


def main() -> None:
    """Relays until it is ended."""
    source, dsn = sys.argv[1:]

    def wake() -> None:
        handle({"kind": "doorbell", "source": source}, Context())

    relay(dsn, wake)


if __name__ == "__main__":
    main()
