"""Invokes on a schedule: the stand-in for EventBridge."""

import asyncio
from collections.abc import Callable


class Schedules:
    """Calls that are made every so many seconds.

    The n-th call is due n intervals after the start, whatever came between: a late one is made up for, so
    none is skipped and nothing drifts.
    """

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def every(self, seconds: float, call: Callable[[], object]) -> None:
        """Make this call every so many seconds, the first time after one interval."""
        self._tasks.append(asyncio.get_running_loop().create_task(_repeat(seconds, call)))

    async def close(self) -> None:
        """Make no more calls."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _repeat(seconds: float, call: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due += seconds
        await asyncio.sleep(due - loop.time())
        call()
