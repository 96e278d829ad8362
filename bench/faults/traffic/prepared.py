"""The second phase of two-phase commit: another session finishes what the writers have prepared.

What is to become of a prepared transaction stands in its name, so that whoever finds it, also after a crash
of
server or writers, comes to the same end.
"""

import re
import time
from threading import Event
from typing import TYPE_CHECKING

import psycopg

from bench.faults.traffic.session import ConnectionCut, Session, SourceGone

if TYPE_CHECKING:
    from bench.faults.traffic.script import Transaction

_POLL_SECONDS = 0.03
_NAME = re.compile(r"traffic (?P<seed>\S+) \S+ (?P<fate>commit|rollback) (?P<milliseconds>\d+)")
_FIND = """
select gid, extract(epoch from clock_timestamp() - prepared)::float8 * 1000
from pg_prepared_xacts where database = current_database() and gid like 'traffic %'
"""


def prepared_name(seed: int, transaction: "Transaction") -> str:
    """The name under which a transaction is prepared."""
    fate = "commit" if transaction.ending == "prepare, commit" else "rollback"
    return f"traffic {seed} {transaction.name} {fate} {transaction.prepared_ms}"


class Finisher:
    """Finishes the prepared transactions of a source when their time has come."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.finished = 0

    def run(self, stop: Event) -> None:
        """Until told to stop; then it finishes whatever is left. Raises SourceGone."""
        try:
            while not stop.wait(_POLL_SECONDS):
                self.turn()
            self.finish_all()
        finally:
            self._session.close()

    def turn(self, all_of_them: bool = False) -> int:
        """Finishes those whose time has come; how many are left."""
        left = 0
        try:
            for name, age_ms in self._session.execute(_FIND).fetchall():
                found = _NAME.fullmatch(name)
                if found is None:
                    continue
                if all_of_them or age_ms >= int(found["milliseconds"]):
                    left += not self._finish(name, found["fate"])
                else:
                    left += 1
        except ConnectionCut:
            left += 1
        return left

    def finish_all(self) -> None:
        """Finishes all that are left."""
        until = time.monotonic() + 60
        while self.turn(all_of_them=True):
            if time.monotonic() > until:
                raise SourceGone("prepared transactions are left that cannot be finished")
            time.sleep(_POLL_SECONDS)

    def _finish(self, name: str, fate: str) -> bool:
        """Whether it is done; somebody else may have done it."""
        try:
            self._session.execute(f"{fate} prepared '{name}'")
        except psycopg.errors.UndefinedObject:
            return True
        except psycopg.Error:
            return False
        self.finished += 1
        return True
