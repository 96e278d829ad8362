"""What a peer is: a way to capture a table's changes, and for some also to have them in another database."""

import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import ClassVar

import msgspec
import psycopg

from local.postgres import SUPERUSER, PostgresServer
from local.programs import Program, ProgramFailed

HOST = "127.0.0.1"
PACKAGED_FOR = 15
"""The release of PostgreSQL that the peers' packages are built for."""
COMMAND_SECONDS = 60.0


class Site(msgspec.Struct, frozen=True):
    """A database on one of the bench's servers."""

    server: PostgresServer
    database: str

    @property
    def dsn(self) -> str:
        """Its URL."""
        return self.server.dsn(self.database)

    @property
    def keywords(self) -> str:
        """How libpq's older clients are told of it."""
        return f"host={HOST} port={self.server.port} dbname={self.database} user={SUPERUSER}"

    def connect(self) -> psycopg.Connection:
        """A connection in autocommit mode, whose user is the server's superuser."""
        return psycopg.connect(self.dsn, autocommit=True)

    def execute(self, statements: str) -> None:
        """Runs statements, several as one transaction."""
        with self.connect() as connection:
            connection.execute(statements.encode())


class Peer(ABC):
    """One design beside ours, on a table of its own source database.

    `packages` are Debian's, and all that it needs, its own one last.
    """

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()
    wal_level: ClassVar[str] = "replica"
    costs_a_round_trip_a_row: ClassVar[bool] = False

    def __init__(self, table: str, source: Site, target: Site, folder: Path) -> None:
        self.table = table
        self.source = source
        self.target = target
        self.folder = folder
        self._programs: list[Program] = []

    @abstractmethod
    def set_up(self) -> None:
        """Has every change of the table captured from here on. Nothing is moved yet."""

    def at_work(self) -> AbstractContextManager[object]:
        """Held while the cost of capturing is measured: what the triggers meet when a consumer is at work."""
        return nullcontext()

    def tear_down(self) -> None:
        """Ends everything that was started. May be called at any time, and again."""
        while self._programs:
            self._programs.pop().kill()

    def _run(self, name: str, *words: str | Path, variables: Mapping[str, str] | None = None) -> Program:
        log = self.folder / f"{name.replace(' ', '-')}.out"
        # One that is held, that is stopped, would take no other signal.
        program = Program(name, words, log, environment=variables, death_signal=signal.SIGKILL)
        self._programs.append(program)
        program.start()
        return program


class Replicator(Peer):
    """A peer that keeps the table of the target equal to the source's."""

    @abstractmethod
    def start(self) -> None:
        """Has changes moved from here on. Both tables exist, and hold the same rows."""

    @abstractmethod
    def hold(self) -> None:
        """Has changes wait, captured, with everything that moves them ready to go on."""

    @abstractmethod
    def release(self) -> None:
        """Ends a hold."""


def missing(peer: type[Peer]) -> list[str]:
    """The Debian packages that a peer needs and this machine has not."""
    return [name for name in peer.packages if version(name) is None]


def version(package: str) -> str | None:
    """The installed version of a Debian package; None where it is not installed, or this is not Debian."""
    ask = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", package]
    try:
        answered = subprocess.run(ask, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    status, _, number = answered.stdout.partition(" ")
    return number if status == "installed" else None


def command(*words: str | Path, variables: Mapping[str, str] | None = None, text: str = "") -> str:
    """What one of a peer's own commands prints. Raises ProgramFailed when it does not end well."""
    try:
        ended = subprocess.run(
            list(map(str, words)),
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=COMMAND_SECONDS,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **(variables or {})},
        )
    except FileNotFoundError as error:
        raise ProgramFailed(f"{words[0]} is not there") from error
    except subprocess.TimeoutExpired as error:
        raise ProgramFailed(f"{words[0]} did not end within {COMMAND_SECONDS:g} s") from error
    if ended.returncode != 0:
        said = (ended.stderr + ended.stdout).strip().splitlines() or ["it said nothing"]
        raise ProgramFailed(f"{words[0]} ended with {ended.returncode}: {said[-1]}")
    return ended.stdout
