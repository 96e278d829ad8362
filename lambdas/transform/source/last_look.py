"""Waiting for the transactions that a drain may have silenced, before it looks for the last time.

A writer that commits while a drain is awake rings nobody. Just before, it has taken a lock that it keeps
until its transaction has ended. So whoever holds such a lock when the drain has let go of its own may have
been silenced and not be visible yet; everybody else is visible, has not come to its doorbell yet, or rolls
back.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from transform.source.session import SourceSession

_PREPARED_SECONDS = 3.0
_RUNNING_SECONDS = 30.0
_POLL_SECONDS = 0.005
_LATER_POLL_SECONDS = 0.025


class Committing(NamedTuple):
    """A transaction between its doorbell and its commit.

    `transaction` becomes another one when it is prepared.
    """

    session: int
    transaction: str
    prepared: bool


class LastLook(SourceSession):
    """What a drain waits for that has just let go of its lock."""

    def wait_for_commits(self, out_of_time: Callable[[], bool]) -> None:
        """Waits until every transaction that has rung by now has ended.

        At most half a minute, three seconds for prepared ones, and no longer than until the next drain is
        awake: that one has a last look of its own, at the same transactions among others.
        """
        left = noted = self._committing()
        started = time.monotonic()
        while left and not out_of_time():
            waited = time.monotonic() - started
            if waited > _RUNNING_SECONDS:
                return
            time.sleep(_POLL_SECONDS if waited < 1 else _LATER_POLL_SECONDS)
            left = [each for each in self._committing() if _is_among(each, noted)]
            if waited > _PREPARED_SECONDS:
                left = [each for each in left if not each.prepared]

    def _committing(self) -> list[Committing]:
        rows = self._connection.execute(
            "select session, transaction, prepared from pgevents.committing()"
            " where not pgevents.is_draining()"
        )
        return [Committing(*row) for row in rows]


def _is_among(committing: Committing, noted: list[Committing]) -> bool:
    """Whether it was noted, or may be one that was noted and has been prepared since."""
    return any(
        committing.session == each.session
        and (committing.prepared or committing.transaction == each.transaction)
        for each in noted
    )
