"""PostgreSQL's own logical replication: a publication, a slot, a subscription, at their defaults."""

import os
import signal
import time

from bench.peers.peer import Replicator
from local.programs import ProgramFailed

_STARTED_SECONDS = 30.0


class NativeLogical(Replicator):
    """Captures from the WAL: no trigger, but a slot that keeps WAL back, and wal_level = logical."""

    name = "native logical replication"
    wal_level = "logical"

    def set_up(self) -> None:
        self.source.execute(f"create publication bench for table {self.table}")
        self.source.execute("select pg_create_logical_replication_slot('bench', 'pgoutput')")

    def start(self) -> None:
        self.target.execute(
            f"create subscription bench connection '{self.source.keywords}' publication bench"
            " with (create_slot = false, slot_name = 'bench', copy_data = false)"
        )
        self._worker()

    def hold(self) -> None:
        # A subscription that is enabled again may wait for wal_retrieve_retry_interval first: five seconds.
        os.kill(self._worker(), signal.SIGSTOP)

    def release(self) -> None:
        os.kill(self._worker(), signal.SIGCONT)

    def _worker(self) -> int:
        """The process that applies."""
        deadline = time.monotonic() + _STARTED_SECONDS
        with self.target.connect() as target:
            while True:
                found = target.execute(
                    "select pid from pg_stat_subscription where pid is not null"
                ).fetchone()
                if found:
                    return int(found[0])
                if time.monotonic() > deadline:
                    raise ProgramFailed(f"the subscription had no worker after {_STARTED_SECONDS:g} s")
                time.sleep(0.02)
