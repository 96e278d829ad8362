"""The measurement itself."""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import msgspec
import psycopg

from bench.measure.watching import highest
from bench.recovery.lambdas import FUNCTIONS, Lambdas, peaks
from bench.recovery.project import PIPELINE, SOURCE, TABLES
from bench.recovery.workload import WORKLOADS, mixed
from local.stack import running
from local.stack.project import make_project
from ops.comparison import compare_sinks
from ops.endpoints import Endpoints
from pgevents.config import load
from pgevents.errors import InputError

# A half of the outbox that is smaller than 8 MiB is not rotated.
_GIVEN_BACK_BYTES = 9_000_000
_ROTATION_SECONDS = 60.0
_POLL_SECONDS = 0.25


class Figures(msgspec.Struct, frozen=True):
    """What was measured. `peak_mb` is the most memory of any process of a function over the whole catch-up.

    `outbox_bytes` is the most that the outbox held. `catch_up_seconds` counts from the moment that the
    Lambdas came back, the wait for the first sweep too.
    """

    workload: str
    changes: int
    commit_seconds: float
    outbox_bytes: int
    batches: int
    catch_up_seconds: float
    changes_per_second: float
    memory_limit_mb: int
    peak_mb: dict[str, int]
    dead_letters: int
    compared_rows: int
    differences: int
    outbox_bytes_after: int
    given_back_after_seconds: float

    @property
    def passed(self) -> bool:
        """Caught up, equal, within its memory, and the space given back."""
        return (
            self.dead_letters == 0
            and self.differences == 0
            and self.compared_rows > 0
            and all(0 < peak <= self.memory_limit_mb for peak in self.peak_mb.values())
            and self.outbox_bytes_after <= _GIVEN_BACK_BYTES
        )


def measured(args: argparse.Namespace) -> Figures:
    """Runs it once. Raises InputError when it does not catch up in time, or a count makes no sense."""
    commit, usual = WORKLOADS[args.workload]
    if args.alive:
        commit = partial(mixed, rate=args.alive)
    changes = args.changes or max(1, usual // (20 if args.quick else 1))
    if changes < 1:
        raise InputError(f"--changes {changes}: at least one change is needed")
    with (
        _stack() as (project, endpoints),
        _connected(endpoints) as source,
        _connected(endpoints) as watched,
    ):
        lambdas = Lambdas(endpoints.lambda_)
        for function in FUNCTIONS:
            lambdas.configure(function, {"memory_mb": args.memory})
        with (
            peaks(lambdas) as peak_mb,
            highest(lambda: _outbox_bytes(watched), _POLL_SECONDS) as outbox,
        ):
            with nullcontext() if args.alive else lambdas.stopped():
                lambdas_do = "run" if args.alive else "are stopped"
                _say(args, f"{changes:,} changes, while the Lambdas {lambdas_do}")
                began = time.monotonic()
                committed = commit(endpoints.sources[SOURCE], changes, args.seed)
                commit_seconds = time.monotonic() - began
                outbox_bytes = _outbox_bytes(source)
                _say(args, f"committed in {commit_seconds:.1f} s; the outbox holds {outbox_bytes:,} bytes")
            catch_up_seconds = _caught_up(source, committed, args)
            after_seconds = _given_back(source)
        compared = list(compare_sinks(load(project / "pipeline.toml"), endpoints))
        return Figures(
            workload=args.workload,
            changes=committed,
            commit_seconds=round(commit_seconds, 1),
            outbox_bytes=int(outbox.value),
            batches=_number(source, "select count(*) from pgevents.batch"),
            catch_up_seconds=round(catch_up_seconds, 1),
            changes_per_second=round(committed / (catch_up_seconds + commit_seconds * bool(args.alive)), 1),
            memory_limit_mb=args.memory,
            peak_mb=peak_mb,
            dead_letters=_number(source, "select count(*) from pgevents.dead_letter"),
            compared_rows=sum(each.rows for each in compared),
            differences=sum(len(each.differences) for each in compared),
            outbox_bytes_after=_outbox_bytes(source),
            given_back_after_seconds=round(after_seconds, 1),
        )


def shown(figures: Figures, as_json: bool) -> str:
    """The figures for a person, or for a program."""
    if as_json:
        return msgspec.json.encode({**msgspec.structs.asdict(figures), "passed": figures.passed}).decode()
    peaks = ", ".join(f"{name} {peak} MB" for name, peak in figures.peak_mb.items())
    return "\n".join(
        (
            f"{figures.changes:,} changes ({figures.workload}) in {figures.batches:,} batches,"
            f" {figures.outbox_bytes / 1e6:,.0f} MB of outbox",
            f"caught up in {figures.catch_up_seconds:,.1f} s: {figures.changes_per_second:,.0f} changes/s",
            f"peak memory, limit {figures.memory_limit_mb} MB: {peaks}",
            f"{figures.compared_rows:,} rows compared in all sinks, {figures.differences:,} differences,"
            f" {figures.dead_letters:,} dead letters",
            f"outbox {figures.outbox_bytes_after:,} bytes, {figures.given_back_after_seconds:.1f} s later",
            "passed" if figures.passed else "FAILED",
        )
    )


@contextmanager
def _stack() -> Iterator[tuple[Path, Endpoints]]:
    with tempfile.TemporaryDirectory(prefix="pgevents-recovery-", ignore_cleanup_errors=True) as folder:
        project = make_project(Path(folder) / "a project", {SOURCE: TABLES}, PIPELINE)
        with running(project, Path(folder) / "state") as endpoints:
            yield project, endpoints


def _connected(endpoints: Endpoints) -> psycopg.Connection:
    return psycopg.connect(endpoints.sources[SOURCE], autocommit=True)


def _caught_up(source: psycopg.Connection, committed: int, args: argparse.Namespace) -> float:
    """The seconds until everything is applied. Raises InputError when that takes too long."""
    began = time.monotonic()
    seen = source.execute("select pg_current_snapshot()::text").fetchone()
    told = began
    while True:
        left = committed - _number(source, _APPLIED)
        now = time.monotonic()
        # The ledger's sum is cheap; whether nothing at all is left is asked for once that says so.
        if left <= 0 and _number(source, _UNAPPLIED, seen or ()) == 0:
            return now - began
        if now > began + args.timeout:
            raise InputError(f"{left:,} changes are left after {args.timeout:g} s; give it more --timeout")
        if now > told + 10:
            told = now
            _say(args, f"{now - began:6.0f} s: {left:,} changes are left")
        time.sleep(_POLL_SECONDS)


def _given_back(source: psycopg.Connection) -> float:
    """The seconds until the outbox is empty, or as long as it may take."""
    began = time.monotonic()
    while _outbox_bytes(source) > _GIVEN_BACK_BYTES and time.monotonic() < began + _ROTATION_SECONDS:
        time.sleep(_POLL_SECONDS)
    return time.monotonic() - began


def _outbox_bytes(source: psycopg.Connection) -> int:
    return _number(source, _OUTBOX_BYTES)


def _number(source: psycopg.Connection, query: str, parameters: tuple[object, ...] = ()) -> int:
    row = source.execute(query.encode(), parameters or None).fetchone()
    return int(row[0]) if row else 0


def _say(args: argparse.Namespace, text: str) -> None:
    print(f"  {text}", file=sys.stderr if args.json else sys.stdout, flush=True)


_UNAPPLIED = "select pgevents.unapplied_events(%s::pg_snapshot)"

_APPLIED = "select coalesce(sum(events), 0) from pgevents.batch where state in ('applied', 'dead')"

_OUTBOX_BYTES = """
select coalesce(sum(pg_total_relation_size(oid)), 0) from pg_class
where relnamespace = 'pgevents'::regnamespace and relname like 'outbox\\_%\\_%' and relkind = 'r'
"""
