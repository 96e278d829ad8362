"""Slony-I: a set of one table from an origin to one subscriber, a slon for each, at their defaults."""

import os
import signal
import time

from bench.peers.peer import Replicator, command
from local.programs import ProgramFailed

CLUSTER = "bench"
_SUBSCRIBED_SECONDS = 90.0

_PREAMBLE = f"""
cluster name = {CLUSTER};
node 1 admin conninfo = '{{source}}';
node 2 admin conninfo = '{{target}}';
"""

_CAPTURE = """
init cluster (id = 1, comment = 'source');
create set (id = 1, origin = 1, comment = 'what the bench measures');
set add table (set id = 1, origin = 1, id = 1, fully qualified name = '{table}');
"""

_NODES = """
store node (id = 2, comment = 'target', event node = 1);
store path (server = 1, client = 2, conninfo = '{source}');
store path (server = 2, client = 1, conninfo = '{target}');
"""

_SUBSCRIBE = "subscribe set (id = 1, provider = 1, receiver = 2, forward = no);"


class Slony(Replicator):
    """Its trigger is written in C and keeps the changed columns as text."""

    name = "Slony-I"
    packages = ("postgresql-15", "postgresql-15-slony1-2", "slony1-2-bin")

    def set_up(self) -> None:
        self._slonik(_CAPTURE)

    def start(self) -> None:
        self._slonik(_NODES)
        for name, site in (("origin", self.source), ("subscriber", self.target)):
            self._slon = self._run(f"slon of the {name}", "/usr/bin/slon", CLUSTER, site.keywords)
        self._slonik(_SUBSCRIBE)
        self._wait_until_subscribed()

    def hold(self) -> None:
        os.killpg(self._slon.pid, signal.SIGSTOP)

    def release(self) -> None:
        os.killpg(self._slon.pid, signal.SIGCONT)

    def _slonik(self, script: str) -> None:
        whole = (_PREAMBLE + script).format(
            source=self.source.keywords, target=self.target.keywords, table=self.table
        )
        command("/usr/bin/slonik", text=whole)

    def _wait_until_subscribed(self) -> None:
        query = f"select sub_active from _{CLUSTER}.sl_subscribe".encode()
        deadline = time.monotonic() + _SUBSCRIBED_SECONDS
        with self.target.connect() as target:
            while target.execute(query).fetchall() != [(True,)]:
                if time.monotonic() > deadline:
                    raise ProgramFailed(f"the set was not subscribed after {_SUBSCRIBED_SECONDS:g} s")
                time.sleep(0.1)
