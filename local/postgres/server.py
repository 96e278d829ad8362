"""One PostgreSQL server over one data folder, on one port of the loopback interface."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import psycopg
from psycopg import sql

from local.postgres.binaries import Release, embedded
from local.postgres.leftovers import forget_reused_lock, wait_for_leftovers
from local.postgres.ports import HOST, refuse_used_port
from local.programs import Identity, Program, ProgramFailed
from local.programs.identity import LAUNCH, not_root
from pgevents.errors import InputError

SUPERUSER = "pgevents_admin"
"""Owns everything; no password, for the server listens on loopback only."""

LEFTOVER_SECONDS = 15.0

StopMode = Literal["fast", "immediate"]

SETTINGS = {
    "listen_addresses": HOST,
    # A socket's path may have 107 bytes, and projects lie deeper than that.
    "unix_socket_directories": "",
    "max_connections": "100",
    "max_prepared_transactions": "10",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %d ",
}
INITDB_OPTIONS = (
    f"--username={SUPERUSER}",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--no-sync",
    "--no-instructions",
)
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresServer(Program):
    """A server that ends with this process.

    `data` is made on the first start. `durable=False` gives up surviving a crash of the machine (not of the
    server) for speed. `settings` are added to this module's, by their names in postgresql.conf. `release`
    is the embedded one unless given.
    Start it in the main thread: a server started in another one outlives a killed parent.
    """

    def __init__(
        self,
        data: Path,
        port: int,
        *,
        name: str = "",
        log: Path | None = None,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
        release: Release | None = None,
    ) -> None:
        self.data = data.absolute()
        self.port = port
        self.release = release or embedded()
        durability = {} if durable else NOT_DURABLE
        chosen = SETTINGS | self.release.settings | durability | dict(settings or {}) | {"port": str(port)}
        options = [f"--{setting}={value}" for setting, value in chosen.items()]
        super().__init__(
            name or f"PostgreSQL {self.data.name}",
            [self.release.program("postgres"), "-D", self.data, *options],
            log or self.data.with_name(f"{self.data.name}.log"),
            # Fast: clients are sent away, all is written. Immediate: as after a crash, replayed next time.
            stop_signals=(signal.SIGINT, signal.SIGQUIT),
            death_signal=signal.SIGQUIT,
            grace=20.0,
        )

    def dsn(self, database: str = "postgres") -> str:
        """How libpq reaches a database of this server as its superuser."""
        return f"postgresql://{SUPERUSER}@{HOST}:{self.port}/{quote(database, safe='')}"

    def start(self) -> None:
        """Makes the data folder if there is none, launches the server and waits until it answers.

        Raises InputError for a port in use or a data folder of another release, ProgramFailed otherwise.
        """
        self.initdb()
        super().start()

    def initdb(self) -> bool:
        """Makes the data folder, whole or not at all; False when there was one.

        Raises InputError when it is another release's.
        """
        marker = self.data / "PG_VERSION"
        if marker.exists():
            self._refuse_other_release(marker.read_text().strip())
            return False
        if self.data.exists() and any(self.data.iterdir()):
            raise InputError(
                f"{self.data} is neither empty nor a PostgreSQL data folder; choose another --state"
            )
        self.data.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.data.with_name(f"{self.data.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        try:
            self._initdb_into(unfinished)
            unfinished.replace(self.data)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return True

    def launch(self) -> None:
        """Starts the server on an existing data folder and comes back at once."""
        left = wait_for_leftovers(self.data, LEFTOVER_SECONDS)
        if left:
            raise InputError(
                f"{self.data} is in use by process {left[0]}; stop it, or choose another --state"
            )
        refuse_used_port(self.port)
        forget_reused_lock(self.data)
        self._identity = self._not_root()
        self._identity.adopt(self.data)
        super().launch()

    def is_ready(self) -> bool:
        """Whether the server on the port is this one, and takes queries."""
        try:
            with psycopg.connect(self.dsn(), connect_timeout=2) as connection:
                row = connection.execute("select current_setting('data_directory')").fetchone()
        except psycopg.OperationalError:
            return False
        return row is not None and Path(row[0]).resolve() == self.data.resolve()

    def stop(self, mode: StopMode = "fast") -> None:
        """Ends the server and waits. `immediate` leaves the rest to the next start, as a crash does."""
        if mode == "immediate":
            self.signal(signal.SIGQUIT)
        super().stop()

    def restart(self, mode: StopMode = "fast") -> None:
        """Stops and starts."""
        self.stop(mode)
        self.start()

    def kill(self) -> None:
        """Ends the server as `kill -9` does, and waits until its backends have noticed."""
        super().kill()
        wait_for_leftovers(self.data, LEFTOVER_SECONDS)

    def create_database(self, name: str) -> bool:
        """Makes a database; False when there was one of that name."""
        if self.has_database(name):
            return False
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        return True

    def has_database(self, name: str) -> bool:
        """Whether there is a database of that name."""
        with psycopg.connect(self.dsn()) as connection:
            found = connection.execute("select 1 from pg_database where datname = %s", [name])
            return found.fetchone() is not None

    def drop_database(self, name: str) -> None:
        """Drops a database, whoever is connected to it; nothing happens when there is none of that name."""
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            drop = sql.SQL("drop database if exists {} with (force)")
            connection.execute(drop.format(sql.Identifier(name)))

    def _not_root(self) -> Identity:
        reach = [self.release.program("postgres"), Path(sys.executable), LAUNCH.parent, self.data.parent]
        return not_root(self.data, reach)

    def _refuse_other_release(self, release: str) -> None:
        if release != str(self.release.major):
            raise InputError(
                f"{self.data} was made by PostgreSQL {release}, this is PostgreSQL {self.release.major}; "
                "choose another --state, or remove this one"
            )

    def _initdb_into(self, folder: Path) -> None:
        identity = self._not_root()
        identity.adopt(folder)
        initdb = self.release.program("initdb")
        command = identity.command(
            [initdb, "--pgdata", folder, *INITDB_OPTIONS, *self.release.initdb_options], signal.SIGKILL
        )
        made = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if made.returncode != 0:
            words = (made.stderr or made.stdout).strip().splitlines() or ["it said nothing"]
            # Its last words are about what it has removed.
            why = next((line for line in words if "FATAL:" in line or "error:" in line), words[-1])
            raise ProgramFailed(f"initdb of {self.data} ended with {made.returncode}: {why}")
