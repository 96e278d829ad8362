"""Londiste 3 over PgQ: a root and a leaf of a cascade, each with its worker, and pgqd, which ticks."""

import os
import signal
import time
from pathlib import Path
from typing import ClassVar

from bench.peers.peer import Replicator, Site, command
from local.programs import ProgramFailed

_LONDISTE = "/usr/bin/londiste"
QUEUE = "bench_queue"
_IN_SYNC_SECONDS = 60.0

_NODE = """[londiste]
job_name = {job}
db = {db}
queue_name = {queue}
logfile = {folder}/{job}.log
pidfile = {folder}/{job}.pid
handler_modules = londiste.handlers.bulk
"""

_TICKER = """[pgqd]
base_connstr = {base}
initial_database = {database}
database_list = {database}
logfile = {folder}/pgqd.log
pidfile = {folder}/pgqd.pid
"""


class Londiste(Replicator):
    """Its applier's default: a statement a row. The settings are those of the packages' own templates."""

    name = "Londiste"
    packages = (
        "postgresql-15", "postgresql-15-pgq3", "postgresql-15-pgq-node", "postgresql-15-londiste-sql", "pgqd",
        "python3-londiste",
    )  # fmt: skip
    handler: ClassVar[str] = ""

    def set_up(self) -> None:
        self._root = self._node("root", self.source)
        self._londiste(self._root, "create-root", "root", self.source.keywords)
        self._londiste(self._root, "add-table", self.table)

    def start(self) -> None:
        ticker = self.folder / "pgqd.ini"
        base = self.source.keywords.replace(f"dbname={self.source.database} ", "")
        ticker.write_text(_TICKER.format(base=base, database=self.source.database, folder=self.folder))
        self._run("pgqd", "/usr/bin/pgqd", ticker)
        leaf = self._node("leaf", self.target)
        self._londiste(
            leaf, "create-leaf", "leaf", self.target.keywords, f"--provider={self.source.keywords}"
        )
        self._run("londiste root", _LONDISTE, self._root, "worker")
        self._worker = self._run("londiste leaf", _LONDISTE, leaf, "worker")
        handler = [f"--handler={self.handler}"] if self.handler else []
        self._londiste(leaf, "add-table", self.table, "--expect-sync", *handler)
        self._wait_until_in_sync()

    def hold(self) -> None:
        os.killpg(self._worker.pid, signal.SIGSTOP)

    def release(self) -> None:
        os.killpg(self._worker.pid, signal.SIGCONT)

    def _node(self, job: str, site: Site) -> Path:
        ini = self.folder / f"{job}.ini"
        ini.write_text(_NODE.format(job=job, db=site.keywords, queue=QUEUE, folder=self.folder))
        return ini

    def _londiste(self, ini: Path, *words: str) -> None:
        command(_LONDISTE, ini, *words)

    def _wait_until_in_sync(self) -> None:
        deadline = time.monotonic() + _IN_SYNC_SECONDS
        with self.target.connect() as target:
            while True:
                states = target.execute("select merge_state from londiste.table_info").fetchall()
                if states == [("ok",)]:
                    return
                if time.monotonic() > deadline:
                    raise ProgramFailed(f"{self.name} was not in sync after {_IN_SYNC_SECONDS:g} s: {states}")
                time.sleep(0.1)


class LondisteBulk(Londiste):
    """Its bulk handler, which merges the changes of a batch and copies them over a temporary table."""

    name = "Londiste, bulk handler"
    handler: ClassVar[str] = "bulk"
