"""Bucardo 5: its daemon, in Perl, copies the rows that its triggers have named since the last time."""

import os
import signal
import time
from contextlib import suppress

from bench.peers.peer import HOST, Replicator, command
from local.postgres import SUPERUSER
from local.programs import ProgramFailed

_STARTED_SECONDS = 60.0

_SETTINGS = """dbhost = {host}
dbport = {port}
dbname = {database}
dbuser = {user}
piddir = {folder}
logdest = {folder}
quiet = 1
"""


class Bucardo(Replicator):
    """A sync of one table from a source to one target, kicked by each commit, which is its default."""

    name = "Bucardo"
    packages = ("postgresql-15", "postgresql-plperl-15", "bucardo")

    _group: int | None = None

    def set_up(self) -> None:
        # Its installer makes a database of its own, and is connected to another one until then.
        self._settings("postgres")
        self._bucardo("install", "--batch")
        self._settings("bucardo")
        self._bucardo("set", f"reason_file={self.folder}/reason")
        for name, site in (("source", self.source), ("target", self.target)):
            self._bucardo(
                "add", "db", name, f"dbname={site.database}", f"host={HOST}", f"port={site.server.port}",
                f"user={SUPERUSER}",
            )  # fmt: skip
        self._bucardo("add", "table", self.table, "db=source", "relgroup=bench")
        self._bucardo("add", "sync", "bench", "relgroup=bench", "dbs=source:source,target:target")

    def start(self) -> None:
        self._bucardo("start")
        self._group = self._daemon()
        self._bucardo("kick", "bench", "60")

    def hold(self) -> None:
        self._signal(signal.SIGSTOP)

    def release(self) -> None:
        self._signal(signal.SIGCONT)

    def tear_down(self) -> None:
        with suppress(ProcessLookupError):
            self._signal(signal.SIGKILL)
        self._group = None

    def _settings(self, database: str) -> None:
        text = _SETTINGS.format(
            host=HOST, port=self.source.server.port, database=database, user=SUPERUSER, folder=self.folder
        )
        (self.folder / "bucardorc").write_text(text)

    def _bucardo(self, *words: str) -> str:
        variables = {"HOME": str(self.folder)}
        return command(
            "/usr/bin/bucardo", "--bucardorc", self.folder / "bucardorc", *words, variables=variables
        )

    def _daemon(self) -> int:
        """The process group of the daemon and its children. It forks once more after it has noted its id."""
        noted = self.folder / "bucardo.mcp.pid"
        deadline = time.monotonic() + _STARTED_SECONDS
        while time.monotonic() < deadline:
            with suppress(OSError, ValueError, IndexError):
                return os.getpgid(int(noted.read_text().split()[0]))
            time.sleep(0.05)
        raise ProgramFailed(f"Bucardo had not started after {_STARTED_SECONDS:g} s (log: {self.folder})")

    def _signal(self, number: signal.Signals) -> None:
        if self._group is not None:
            os.killpg(self._group, number)
