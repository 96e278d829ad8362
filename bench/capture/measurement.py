"""The measurement itself: every variant in turn, on one server."""

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path

import msgspec
import psycopg

from bench import measure
from bench.capture import memory, tables
from bench.capture.variants import (
    BAREST,
    CAPTURED,
    LAMBDA_GONE,
    NAIVE,
    NOT_RUNG,
    NOTHING,
    UNGUARDED,
    UNTRIGGERED,
    databases,
    empty_outbox,
)
from bench.measure import Comparison, Report, facts, interleaved, pgbench
from bench.measure.rounds import Tell
from local.postgres import PostgresServer, free_port

_SETTINGS = {"shared_buffers": "256MB", "max_wal_size": "8GB", "checkpoint_timeout": "1h"}
"""Room enough that no checkpoint falls into a measurement; each begins after one."""
_MANY_ROWS = 10_000


class Extent(msgspec.Struct, frozen=True):
    """How much is measured: seconds a variant and round, rows a statement, statements of a session."""

    seconds: float
    rows: int
    statements: int


class Bed:
    """A server's variants, measured as one asks."""

    def __init__(self, dsns: dict[str, str], script: Path, extent: Extent, rounds: int, tell: Tell):
        self.dsns = dsns
        self.extent = extent
        self.script = script
        self._rounds = rounds
        self._tell = tell

    def compare_transactions(self, clients: int, synchronous_commit: str, *names: str) -> Comparison:
        """Transactions of a single row, a second."""
        title = f"{clients} clients, synchronous_commit {synchronous_commit}"
        rate = partial(self._rate, clients, synchronous_commit)
        return self._compared(title, "transactions/s", {name: partial(rate, name) for name in names})

    def compare_statements(self, *names: str) -> Comparison:
        """Rows a second, by statements of many rows."""
        title = f"Statements of {self.extent.rows:,} rows"
        return self._compared(title, "rows/s", {name: partial(self._rows_rate, name) for name in names})

    def wal_bytes(self, name: str) -> float:
        """Bytes of WAL a change, without images of whole pages."""
        with self._connected(name) as connection:
            before = _number(connection, _WAL)
            done = self._run(name, 1, "off")
            return (_number(connection, _WAL) - before) / (done.transactions * tables.TRANSACTIONS)

    def session_memory(self, name: str) -> tuple[float, float, float]:
        """MB that a session has for itself: after two rounds of statements of many rows, after many such
        rounds, and the most during one of ten times the rows."""
        with self._connected(name) as connection:
            process = connection.info.backend_pid
            _change(connection, self.extent.rows)
            _change(connection, self.extent.rows)
            early = memory.own_mb(process)
            for _ in range(self.extent.statements):
                _change(connection, self.extent.rows)
            late = memory.own_mb(process)
            with memory.peak_mb(process) as peak:
                _change(connection, 10 * self.extent.rows)
            return early, late, peak.value

    def _compared(self, title: str, unit: str, variants: dict[str, partial[float]]) -> Comparison:
        return interleaved(
            title,
            variants,
            unit=unit,
            baseline=UNTRIGGERED,
            rounds=self._rounds,
            tell=self._tell,
            before=self._begin_alike,
        )

    def _begin_alike(self, name: str) -> None:
        with self._connected(name) as connection:
            empty_outbox(connection)
            connection.execute(f"vacuum {tables.TABLE}".encode())
            connection.execute("checkpoint")

    def _rate(self, clients: int, synchronous_commit: str, name: str) -> float:
        return self._run(name, clients, synchronous_commit).rate * tables.TRANSACTIONS

    def _run(self, name: str, clients: int, synchronous_commit: str) -> pgbench.Run:
        return pgbench.run(
            self.dsns[name],
            {self.script: 1},
            clients=clients,
            seconds=self.extent.seconds,
            settings={"synchronous_commit": synchronous_commit},
            variables={"n": 0},
        )

    def _rows_rate(self, name: str) -> float:
        with self._connected(name) as connection:
            began = time.monotonic()
            changed = _change(connection, self.extent.rows)
            return changed / (time.monotonic() - began)

    def _connected(self, name: str) -> psycopg.Connection:
        return psycopg.connect(self.dsns[name], autocommit=True)


def measured(args: argparse.Namespace) -> Report:
    """Measures it all. Raises InputError for wrong arguments, ProgramFailed when a server does not run."""
    extent = Extent(2.0, 1_000, 3) if args.quick else Extent(3.0, _MANY_ROWS, 20)
    rounds, tell = measure.rounds(args, 5), measure.teller(args)
    with tempfile.TemporaryDirectory(prefix="pgevents-capture-", ignore_cleanup_errors=True) as folder:
        script = Path(folder) / "transactions.sql"
        script.write_text(tables.script())
        server = PostgresServer(Path(folder) / "data", free_port(), settings=_SETTINGS)
        try:
            server.start()
            with databases(server) as dsns, psycopg.connect(server.dsn(), autocommit=True) as admin:
                report = Report("capture", facts(PostgreSQL=_text(admin, "show server_version")))
                bed = Bed(dsns, script, extent, rounds, tell)
                _measure_transactions(report, bed)
                _measure_statements(report, bed)
                _measure_wal(report, bed, admin)
        finally:
            server.stop()
    return report


def _measure_transactions(report: Report, bed: Bed) -> None:
    usual = (UNTRIGGERED, CAPTURED, NOT_RUNG)
    least = (NOTHING, BAREST)
    on = report.compare(bed.compare_transactions(16, "on", *usual, *least, UNGUARDED, LAMBDA_GONE))
    off = report.compare(bed.compare_transactions(16, "off", *usual, *least))
    many = report.compare(bed.compare_transactions(64, "on", *usual, UNGUARDED))
    report.target(f"captured, {on.title}", on.ratio(CAPTURED).median, ">=", 0.92)
    report.target(f"captured, {off.title}", off.ratio(CAPTURED).median, ">=", 0.72)
    for found in (on, many):
        report.target(f"the doorbell, {found.title}", found.ratio(CAPTURED, to=NOT_RUNG).median, ">=", 0.97)


def _measure_statements(report: Report, bed: Bed) -> None:
    found = report.compare(bed.compare_statements(UNTRIGGERED, CAPTURED, NAIVE))
    report.target(f"captured, {found.title.lower()}", found.ratio(CAPTURED).median, ">=", 0.5)
    if not memory.PROCESSES.is_dir():
        report.skip("the memory of a session", "this system does not tell it in /proc")
        return
    early, late, peak = bed.session_memory(CAPTURED)
    report.target("memory of a session after many such statements, of after two", late / early, "<=", 1.1)
    report.figure(f"memory of a session after statements of {bed.extent.rows:,} rows", late, "MB")
    report.figure(f"memory of a session, peak, statements of {10 * bed.extent.rows:,} rows", peak, "MB")


def _measure_wal(report: Report, bed: Bed, admin: psycopg.Connection) -> None:
    admin.execute("alter system set full_page_writes = off")
    admin.execute("select pg_reload_conf()")
    for name in (UNTRIGGERED, NAIVE):
        report.figure(f"WAL a change, {name}", bed.wal_bytes(name), "bytes")
    report.target(f"WAL a change, {CAPTURED}", bed.wal_bytes(CAPTURED), "<=", 950, "bytes")


def _change(connection: psycopg.Connection, rows: int) -> int:
    insert, update, delete = tables.BULK
    changed = connection.execute(insert.encode(), (rows,)).rowcount
    return changed + sum(connection.execute(each.encode()).rowcount for each in (update, delete))


def _number(connection: psycopg.Connection, query: str) -> int:
    return int(_text(connection, query))


def _text(connection: psycopg.Connection, query: str) -> str:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return str(row[0])


_WAL = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
