"""The measurement: the same rows by every way in turn, then 100,000 events at once by a process alone."""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

import msgspec
import psycopg

from bench import measure
from bench.measure import Report, facts, interleaved
from bench.write import warehouse as servers
from bench.write.plainly import Plainly
from bench.write.rows import COLUMNS, Values, batch, rows
from bench.write.warehouse import BUCKET, DATABASE, ROLE, Warehouse
from local.emulator import ACCESS_KEY, REGION
from local.programs import environment
from pgevents.batch import decode, encode
from pgevents.config import Policies
from pgevents.settings import WriterSettings
from redshift_writer.connect import Sessions, load_driver
from redshift_writer.copying import Place
from redshift_writer.writer import Writer

WRITER = "the writer"
LITERALS = "the writer, literals only"
_TRIPS, _RATE, _MEGABYTES = 8, 60_000, 256


class Measurement:
    """One writer and one plain client on a warehouse, and what they have done so far."""

    def __init__(self, warehouse: Warehouse, stack: ExitStack, count: int) -> None:
        client = warehouse.client()
        place = Place(
            BUCKET, ROLE, lambda name, key, body: client.put_object(Bucket=name, Key=key, Body=body)
        )
        self._warehouse = warehouse
        self._count = count
        self._numbers = itertools.count(1)
        self._copying = _writer(warehouse, stack, "copying", place)
        self._literal = _writer(warehouse, stack, "literals", None)
        self._plain = Plainly(warehouse)
        stack.callback(self._plain.close)
        self.trips = 0
        self.processor: dict[str, list[float]] = {}

    def ways(self, slow: int) -> dict[str, Callable[[], float]]:
        """Every way: rows a second of one batch. The slowest ones get `slow` rows."""
        plain = self._plain
        return {
            "plain literals": lambda: self._plainly(plain.literals, self._count),
            "one statement a row": lambda: self._plainly(plain.one_statement_a_row, slow),
            "executemany": lambda: self._plainly(plain.executemany, slow),
            LITERALS: lambda: self._by(self._literal),
            WRITER: lambda: self._by(self._copying, noted=True),
        }

    def settle(self, _: str) -> None:
        """Takes what the last batch has left behind away from the next one."""
        with psycopg.connect(self._warehouse.postgres.dsn(DATABASE), autocommit=True) as connection:
            connection.execute("vacuum")
            connection.execute("checkpoint")

    def warm(self) -> None:
        """Makes the tables, and brings every connection to where the measurement finds it."""
        for writer in (self._copying, self._literal):
            writer.apply(batch(self._count, next(self._numbers)))
        self._plain.literals(rows(self._count, next(self._numbers)))

    def _plainly(self, way: Callable[[Iterable[Values]], None], count: int) -> float:
        written = list(rows(count, next(self._numbers)))
        started = time.perf_counter()
        way(written)
        return count / (time.perf_counter() - started)

    def _by(self, writer: Writer, noted: bool = False) -> float:
        """From the bytes of the event on, as the Lambda gets them."""
        encoded = encode(batch(self._count, next(self._numbers)))
        spent = self._processor_seconds() if noted else {}
        started = time.perf_counter()
        applied = writer.apply(decode(encoded))
        seconds = time.perf_counter() - started
        assert applied.counts.inserted == self._count, applied
        self.trips = max(self.trips, applied.round_trips)
        for name, before in spent.items():
            self.processor.setdefault(name, []).append(self._processor_seconds()[name] - before)
        return self._count / seconds

    def _processor_seconds(self) -> dict[str, float]:
        return {"writer": time.process_time(), **self._warehouse.processor_seconds()}


def _writer(warehouse: Warehouse, stack: ExitStack, schema: str, place: Place | None) -> Writer:
    sessions = Sessions(warehouse.connection, lambda name: "")
    stack.callback(sessions.drop)
    return Writer(sessions, schema, Policies(), copies=place)


def measured(args: argparse.Namespace) -> Report:
    """Runs it all. Raises InputError for wrong arguments, ProgramFailed when a server does not come up."""
    count, slow, many = (5_000, 50, 5_000) if args.quick else (10_000, 500, 100_000)
    with ExitStack() as stack:
        warehouse = stack.enter_context(servers.running())
        with psycopg.connect(warehouse.postgres.dsn(DATABASE)) as connection:
            version = str(connection.info.parameter_status("server_version"))
        report = Report("write", facts(PostgreSQL=version, redshift_connector=load_driver().__version__))
        measurement = Measurement(warehouse, stack, count)
        measurement.warm()
        compared = report.compare(
            interleaved(
                f"Batches of {count:,} rows, {len(COLUMNS)} columns",
                measurement.ways(slow),
                unit="rows/s",
                baseline="plain literals",
                rounds=measure.rounds(args, 7),
                before=measurement.settle,
                tell=measure.teller(args),
            )
        )
        alone = _alone(warehouse, many)
    for name, seconds in measurement.processor.items():
        median = sorted(seconds)[len(seconds) // 2]
        report.figure(f"processor time a batch, {name}", 1000 * median, "ms")
    report.figure(f"round trips, a new process and {many:,} events", alone["trips"])
    if not args.quick:
        report.target("rows/s into the stand-in", compared.value(WRITER).median, ">=", _RATE, "rows/s")
    report.target("round trips a batch", measurement.trips, "<=", _TRIPS)
    report.target(f"memory at {many:,} events", alone["megabytes"], "<=", _MEGABYTES, "MB")
    return report


def _alone(warehouse: Warehouse, count: int) -> dict[str, float]:
    """One batch of so many events by a process that does nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        settings, file = Path(folder, "settings.json"), Path(folder, "batch")
        settings.write_bytes(msgspec.json.encode(WriterSettings(warehouse.connection, BUCKET, ROLE)))
        file.write_bytes(encode(batch(count, 1)))
        done = subprocess.run(
            [sys.executable, "-m", "bench.write.alone", str(settings), str(file)],
            env=environment(
                AWS_ENDPOINT_URL=warehouse.s3.url,
                AWS_ACCESS_KEY_ID=ACCESS_KEY,
                AWS_SECRET_ACCESS_KEY=ACCESS_KEY,
                AWS_DEFAULT_REGION=REGION,
            ),
            capture_output=True,
            text=True,
            check=True,
        )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    assert found["rows"] == count, found
    return found
