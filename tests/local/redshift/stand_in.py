"""A stand-in as its own process, for tests on this side of the wire."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psycopg

from local.postgres import free_port
from local.redshift import Configuration, Controller
from pgevents.settings import Connection

ROOT = Path(__file__).parents[3]


class Running(NamedTuple):
    """A stand-in that runs: where clients reach it, and the PostgreSQL behind it."""

    port: int
    upstream: str
    control: Controller

    @property
    def database(self) -> str:
        return str(psycopg.conninfo.conninfo_to_dict(self.upstream)["dbname"])

    @property
    def user(self) -> str:
        return str(psycopg.conninfo.conninfo_to_dict(self.upstream)["user"])

    @property
    def dsn(self) -> str:
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/{self.database}"

    @property
    def settings(self) -> Connection:
        return Connection("127.0.0.1", self.port, self.database, self.user, sslmode="disable")

    def connect(self, **options: Any) -> psycopg.Connection:
        """psycopg, through the stand-in."""
        return psycopg.connect(self.dsn, **options)

    def look(self, query: str) -> list[tuple[Any, ...]]:
        """What a query finds behind the stand-in, where nothing is refused or rewritten."""
        with psycopg.connect(self.upstream) as connection:
            return connection.execute(query.encode()).fetchall()


def start(configuration: Path) -> subprocess.Popen[str]:
    """The program, as the local stack runs it."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "local.redshift", str(configuration)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([".", "lambdas", "lambdas/core"])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def running(folder: Path, upstream: str, s3: str | None = None) -> Iterator[Running]:
    """A stand-in for the length of a block. Fails when it wrote anything to stderr."""
    configuration = Configuration(free_port(), upstream, free_port(), s3)
    path = folder / "redshift.json"
    path.write_bytes(msgspec.json.encode(configuration))
    process = start(path)
    assert process.stdout is not None
    line = process.stdout.readline()
    if "ready" not in line:
        raise AssertionError(f"not ready: {line} {process.communicate()}")
    try:
        assert configuration.control_port is not None
        yield Running(configuration.listen_port, upstream, Controller(configuration.control_port))
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    assert errors == ""
    assert process.returncode == 0
