"""Ours, on the peers' servers: the real installer, and the transform Lambda's handler in a warm process."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.peers.peer import HOST, Replicator, Site
from db_triggers.installer import Wake, install
from local.emulator import REGION
from local.postgres import SUPERUSER
from local.programs import ProgramFailed, environment
from local.stack.functions import TRANSFORM
from local.stack.project import make_project
from ops.pauses import SOURCE, pause, resume
from pgevents.config import load
from pgevents.settings import Connection, Connections
from transform.source.outbox import Outbox

NAME = "bench"

_PIPELINE = """[sources.{name}]
doorbell = "notify"
[[sources.{name}.tables]]
table = "{table}"
[sinks.replica]
type = "postgres"
[[routes]]
table = "{name}.{table}"
sinks = ["replica"]
"""


class Ours(Replicator):
    """Where there is no AWS the doorbell is `notify`: what the relay hears wakes the handler."""

    name = "ours"

    def set_up(self) -> None:
        self._project = make_project(
            self.folder / "project", {}, _PIPELINE.format(name=NAME, table=self.table)
        )
        pipeline = load(self._project / "pipeline.toml")
        with self.source.connect() as connection:
            install(connection, NAME, pipeline.sources[NAME], Wake(TRANSFORM, REGION), pipeline.routes)

    def start(self) -> None:
        # The sink makes its own tables, in which char(2) is text.
        self.target.execute(f"drop table {self.table}")
        lambdas = self._project / "lambdas"
        roots = [*environment()["PYTHONPATH"].split(os.pathsep)]
        connections = Connections({NAME: _connection(self.source)}, {"replica": _connection(self.target)})
        variables = environment(
            LAMBDA_TASK_ROOT=str(self._project),
            PGEVENTS_CONNECTIONS=msgspec.json.encode(connections).decode(),
            PGEVENTS_BUCKET="none",
            PGEVENTS_WRITER_FUNCTION="none",
            AWS_DEFAULT_REGION=REGION,
        )
        variables["PYTHONPATH"] = os.pathsep.join([str(lambdas), str(lambdas / "core"), *roots])
        program = Path(__file__).with_name("warm_transform.py")
        self._run("transform", sys.executable, program, NAME, self.source.dsn, variables=variables)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """A drain is awake: it holds its lock, which every transaction's doorbell meets."""
        with self.source.connect() as drain:
            if not Outbox(NAME, drain).try_lock():
                raise ProgramFailed("another drain is awake")
            yield

    def hold(self) -> None:
        with self.source.connect() as connection:
            pause(connection, SOURCE, "bench", "to let a backlog grow")

    def release(self) -> None:
        with self.source.connect() as connection:
            resume(connection, SOURCE)


def _connection(site: Site) -> Connection:
    return Connection(HOST, site.server.port, site.database, SUPERUSER, sslmode="disable")
