"""The servers that a batch goes through: PostgreSQL, the stand-in for Redshift before it, and S3."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bench.measure.processor import used_by
from local.emulator import Emulator
from local.postgres import SUPERUSER, PostgresServer, free_port
from local.redshift import Configuration
from local.stack.parts import ModuleProgram
from pgevents.settings import Connection

DATABASE = "warehouse"
BUCKET = "warehouse"
ROLE = "arn:aws:iam::000000000000:role/copy"


class Warehouse(NamedTuple):
    """What runs, and how the writer reaches it."""

    connection: Connection
    postgres: PostgresServer
    redshift: ModuleProgram
    s3: Emulator

    def client(self) -> Any:
        """boto3's client of the S3."""
        return self.s3.session.client("s3", endpoint_url=self.s3.url)

    def processor_seconds(self) -> dict[str, float]:
        """The processor time of each server's processes so far. Linux only."""
        return {
            "stand-in": used_by([self.redshift.pid]),
            "PostgreSQL": used_by([self.postgres.pid]),
            "S3": used_by([self.s3.pid]),
        }


@contextlib.contextmanager
def running() -> Iterator[Warehouse]:
    """A warehouse for the length of a block, in a folder that goes with it."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pgevents-write-")))
        postgres = PostgresServer(folder / "postgres", free_port())
        postgres.start()
        stack.callback(postgres.stop)
        postgres.create_database(DATABASE)
        s3 = Emulator(folder / "aws", free_port())
        s3.start()
        stack.callback(s3.stop)
        s3.create_bucket(BUCKET)
        port = free_port()
        configuration = folder / "redshift.json"
        configuration.write_bytes(msgspec.json.encode(Configuration(port, postgres.dsn(DATABASE), s3=s3.url)))
        log = folder / "redshift.log"
        redshift = ModuleProgram("stand-in", "local.redshift", [str(configuration)], log, "ready on", {})
        redshift.start()
        stack.callback(redshift.stop)
        reached = Connection("127.0.0.1", port, DATABASE, SUPERUSER, sslmode="disable")
        yield Warehouse(reached, postgres, redshift, s3)
