"""Reading no faster than asked."""

import time
from collections.abc import Callable


class Pace:
    """Keeps the average rate of rows, over all stores, under a limit; None for none."""

    def __init__(
        self,
        rows_per_second: float | None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rows_per_second
        self._sleep = sleep
        self._clock = clock
        self._began = clock()
        self.rows = 0

    def spend(self, rows: int) -> None:
        """Counts rows that were read, and waits until that many may have been."""
        self.rows += rows
        if self._rate is not None:
            ahead = self.rows / self._rate - (self._clock() - self._began)
            if ahead > 0:
                self._sleep(ahead)
