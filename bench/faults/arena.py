"""A whole stack to be attacked. Its parts are this process's own: each can be stopped, killed, frozen."""

import contextlib
import functools
import os
import signal
import time
from collections.abc import Iterable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import boto3
import psycopg

from bench.faults.bucket import BucketOnDisk
from bench.faults.lambda_control import LambdaControl
from bench.faults.project import INVOKING
from local.emulator import ACCESS_KEY, ACCOUNT, REGION
from local.emulator_faults import EmulatorControl
from local.lambda_service.faults import Fault
from local.postgres import PostgresServer
from local.programs import Program
from local.redshift.control import Controller
from local.stack import ports
from local.stack.composition import Stack
from local.stack.functions import BUCKET, TRANSFORM, WRITER
from local.stack.pace import Pace
from local.stack.state import StateFolder
from local.stack.supervisor import Report, Supervisor
from ops.endpoints import Endpoints
from pgevents.config import Pipeline, load

PACE = Pace(
    sweep=1.0,
    overdue=2.5,
    retries=(0.2, 0.5),
    transform_timeout=6.0,
    writer_timeout=5.0,
    margin=2.0,
    pulse=2.0,
    # The machine may be busy with several stacks at once, and a slow import is no fault that is meant here.
    imports=60.0,
    # The machine stays up, so what a server has written survives its kill; synchronous_commit stays on.
    settings={"fsync": "off", "autovacuum_naptime": "5s"},
)


_MOST_DELETED = 1_000
"""In one request, as S3 allows."""


class Arena:
    """A stack that runs, and everything that may happen to it."""

    def __init__(self, project: Path, state: Path, pace: Pace = PACE) -> None:
        self.pipeline: Pipeline = load(project / "pipeline.toml")
        self.pace = pace
        self.state = StateFolder(state)
        self.ports = ports.choose(0, self.state.ports(), self.pipeline.sources)
        self.stack = Stack(project, self.pipeline, self.state, self.ports, pace)
        self._supervisor = Supervisor(self.stack, self.state, Report(StringIO()))
        self._supervisor._report.keep(self.state.log("up"))
        self.transform = LambdaControl(self.stack.lambda_url, TRANSFORM)
        self.writer = LambdaControl(self.stack.lambda_url, WRITER)
        self.redshift = Controller(self.ports["redshift control"])
        self.s3_faults = EmulatorControl(self.stack.aws.url)

    @property
    def endpoints(self) -> Endpoints:
        """Where everything is."""
        return self.stack.endpoints()

    @property
    def source(self) -> PostgresServer:
        """The server of the source that rings by aws_lambda.invoke."""
        return self.stack.sources[INVOKING]

    @property
    def relay(self) -> Program:
        """The relay of the source that rings by pg_notify."""
        return self.stack.relays[0]

    @property
    def dsns(self) -> dict[str, str]:
        """The sources' databases."""
        return self.endpoints.sources

    def start(self) -> None:
        """Starts everything. Raises InputError or ProgramFailed."""
        self.state.keep_ports(self.ports)
        self._supervisor.start()

    def stop(self) -> None:
        """Stops everything."""
        with _signals_kept():
            self._supervisor.stop()
        self.state.close()

    def bring_back(self) -> None:
        """Starts what has ended, in the order of the first start."""
        for part in self.stack.parts():
            if not part.runs:
                part.start()

    def clear(self) -> None:
        """Takes back whatever was ordered of the stand-ins."""
        self.transform.clear()
        self.writer.clear()
        self.redshift.clear()
        self.s3_faults.clear()

    def is_idle(self) -> bool:
        """Whether neither Lambda has anything to do, nor S3 anything that a Lambda of before has given up."""
        figures = [function.statistics() for function in (self.transform, self.writer)]
        at_work = any(figure["busy"] or figure["queued"] for figure in figures)
        return not at_work and not self.s3_faults.report().waiting

    def lose_answers(self, count: int) -> None:
        """Loses so many of the writer's answers on their way to the transform."""
        self.transform.fault(Fault(kind="drop", contains='"responsePayload"', count=count))

    def signal(self, processes: Iterable[int], number: signal.Signals) -> None:
        """Sends a signal to processes by their ids."""
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    def sleep(self, seconds: float) -> None:
        """Lets time pass."""
        time.sleep(seconds)

    def until(self, condition: Any, seconds: float) -> bool:
        """Waits until a condition holds, at most so long; whether it does."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    @contextlib.contextmanager
    def sql(self, dsn: str) -> Iterator[psycopg.Connection[Any]]:
        """A connection to any of its databases, in autocommit mode."""
        with psycopg.connect(
            dsn, autocommit=True, connect_timeout=5, application_name="attack"
        ) as connection:
            yield connection

    def execute(self, dsn: str, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Runs one query somewhere; its rows."""
        with self.sql(dsn) as connection:
            cursor = connection.execute(query.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    @property
    def sink_dsn(self) -> str:
        """The PostgreSQL sink's database."""
        return self.endpoints.postgres

    @property
    def behind_redshift_dsn(self) -> str:
        """The database under the Redshift stand-in."""
        return self.stack.redshift_server.dsn(self.stack.warehouse)

    @property
    def bucket(self) -> BucketOnDisk:
        """What S3 holds."""
        return BucketOnDisk(self.state.path / "aws" / "s3" / ACCOUNT)

    @functools.cache  # noqa: B019 - an arena lives as long as its process
    def s3(self) -> Any:
        """A client of the emulator's S3."""
        return boto3.client(
            "s3",
            endpoint_url=self.stack.aws.url,
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=ACCESS_KEY,
        )

    def delete_objects(self, prefix: str = "") -> int:
        """Deletes the bucket's objects under a prefix; how many there were."""
        deleted = 0
        for page in self.bucket.paginate(BUCKET, prefix):
            keys = [{"Key": found["Key"]} for found in page["Contents"]]
            for first in range(0, len(keys), _MOST_DELETED):
                part = keys[first : first + _MOST_DELETED]
                self.s3().delete_objects(Bucket=BUCKET, Delete={"Objects": part})
            deleted += len(keys)
        return deleted


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """The supervisor ignores signals while it stops; whoever runs several stacks wants them back."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def arena(project: Path, state: Path, pace: Pace = PACE) -> Iterator[Arena]:
    """An arena for the length of a block."""
    made = Arena(project, state, pace)
    try:
        made.start()
        yield made
    finally:
        made.stop()
