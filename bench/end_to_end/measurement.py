"""The measurement itself."""

import argparse
import time
from contextlib import ExitStack

import psycopg

from bench import measure
from bench.end_to_end.load import Load
from bench.end_to_end.project import target_of
from bench.end_to_end.reader import index_stamps, last_stamp, percentile, reading
from bench.end_to_end.stack import measured_stack
from bench.faults.arena import Arena
from bench.measure import Comparison, Report, facts
from bench.measure.rounds import Tell
from ops.comparison import compare_sinks
from pgevents.errors import InputError

SOURCE = "accounts"
COMMITTED, POSTGRES, REDSHIFT = "committed in the source", "PostgreSQL sink", "Redshift stand-in"
_WARMING = 600
"""Transactions before anything is measured: both Lambdas have started by then."""
_PATIENCE_SECONDS = 120.0
_POLL_SECONDS = 0.02
_SEEN = 0.999


def measured(args: argparse.Namespace) -> Report:
    """Runs it. Raises InputError when the pipeline does not come along, or a count makes no sense."""
    transactions = (3_000 if args.quick else 20_000) if args.transactions is None else args.transactions
    if transactions < 1 or args.seconds <= 0:
        raise InputError(f"--transactions {transactions}, --seconds {args.seconds:g}: both must be positive")
    with measured_stack([SOURCE]) as arena, psycopg.connect(arena.dsns[SOURCE], autocommit=True) as source:
        bench = _Bench(arena, source)
        report = Report("end-to-end", facts(PostgreSQL=bench.version()))
        rates = report.compare(bench.sustained(transactions, measure.rounds(args, 3), measure.teller(args)))
        rate = min(rates.value(POSTGRES).median, rates.value(REDSHIFT).median) / 2
        seconds = 4.0 if args.quick else args.seconds
        measure.teller(args)(f"{rate:,.0f} transactions/s, half of that, for {seconds:g} s")
        bench.latency(report, rate, seconds)
        differences = sum(len(each.differences) for each in compare_sinks(arena.pipeline, arena.endpoints))
        report.target("differences between source and sinks", differences, "<=", 0)
        return report


class _Bench:
    """A stack that is warm, with its load."""

    def __init__(self, arena: Arena, source: psycopg.Connection) -> None:
        self._source = source
        # Behind the stand-in's translation: the reader must not take its processor time.
        warehouse = arena.stack.redshift_server.dsn(arena.stack.warehouse)
        self._sinks = {POSTGRES: arena.endpoints.postgres, REDSHIFT: warehouse}
        self._load = Load(arena.dsns[SOURCE])
        settle(self._source)
        self._load.commit(_WARMING)
        settle(self._source)
        for dsn in self._sinks.values():
            index_stamps(dsn, target_of(SOURCE))

    def version(self) -> str:
        """The servers' version."""
        return str(self._source.info.parameter_status("server_version"))

    def sustained(self, transactions: int, rounds: int, tell: Tell) -> Comparison:
        """As fast as the clients commit, each round until the last one is visible."""
        found: dict[str, list[float]] = {COMMITTED: [], POSTGRES: [], REDSHIFT: []}
        for number in range(rounds):
            committed = self._load.commit(transactions)
            found[COMMITTED].append(committed.rate)
            for sink, at in self._visible().items():
                found[sink].append(committed.transactions / (at - committed.began))
            settle(self._source)
            shown = ", ".join(f"{name} {values[-1]:,.0f}" for name, values in found.items())
            tell(f"as fast as it goes, round {number + 1} of {rounds}: {shown} transactions/s")
        return Comparison("Single-row transactions, everything on", "transactions/s", COMMITTED, found)

    def latency(self, report: Report, rate: float, seconds: float) -> None:
        """At a rate, from each row's commit until a reader sees it."""
        rung, batches = self._rung(), self._batches()
        with ExitStack() as stack:
            readers = {
                sink: stack.enter_context(reading(dsn, target_of(SOURCE)))
                for sink, dsn in self._sinks.items()
            }
            committed = self._load.commit(round(rate * seconds), rate)
            settle(self._source)
            self._visible()
            time.sleep(0.1)
        took = committed.ended - committed.began
        report.figure("load for the latency", committed.rate, "transactions/s")
        report.figure("batches", (self._batches() - batches) / took, "a second")
        report.figure("doorbells rung", self._rung() - rung)
        for sink, reader in readers.items():
            # Two of three transactions leave a row that says when it was written.
            seen = len(reader.latencies) / (committed.transactions * 2 / 3)
            report.target(f"rows seen, {sink}", seen, ">=", _SEEN)
            for percent, most in ((50, 25), (99, 120)):
                milliseconds = percentile(reader.latencies, percent) * 1000
                report.target(f"commit to visible, p{percent}, {sink}", milliseconds, "<=", most, "ms")

    def _visible(self) -> dict[str, float]:
        """When the latest row of the source was first seen in each sink. Raises InputError."""
        latest, since = last_stamp(self._source, "entry"), time.time()
        found: dict[str, float] = {}
        opened = {sink: psycopg.connect(dsn, autocommit=True) for sink, dsn in self._sinks.items()}
        try:
            while opened.keys() - found.keys():
                _refuse_after(since)
                for sink in opened.keys() - found.keys():
                    if last_stamp(opened[sink], target_of(SOURCE)) >= latest:
                        found[sink] = time.time()
                time.sleep(_POLL_SECONDS)
        finally:
            for connection in opened.values():
                connection.close()
        return found

    def _batches(self) -> int:
        return _number(self._source, "select count(*) from pgevents.batch")

    def _rung(self) -> int:
        return _number(self._source, "select last_value from pgevents.doorbell_rung")


def settle(source: psycopg.Connection) -> None:
    """Waits until everything that is committed in a source is applied. Raises InputError."""
    since = time.time()
    while _number(source, "select pgevents.unapplied_events(pg_current_snapshot())"):
        _refuse_after(since)
        time.sleep(_POLL_SECONDS)


def _number(source: psycopg.Connection, query: str) -> int:
    row = source.execute(query.encode()).fetchone()
    return int(row[0]) if row else 0


def _refuse_after(since: float) -> None:
    if time.time() > since + _PATIENCE_SECONDS:
        raise InputError(
            f"what was committed is not in every sink after {_PATIENCE_SECONDS:g} s; use a quieter machine"
        )
