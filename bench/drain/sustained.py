"""Whether a drain costs the same after minutes of load, and how large the outbox grows meanwhile."""

import argparse
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import msgspec

from bench import measure
from bench.drain.readers import Reader, drained, skip_locked
from bench.drain.source import Bed, Processor, capture, connected, running, write_naive
from bench.measure import Report, facts
from bench.measure.rounds import Tell
from pgevents.errors import InputError

SLOWER_AT_MOST = 1.05
_WRITES_A_SECOND = 10
_PARTS = 10
# The first tenth warms up. One alone tells of its own moment: the other outbox's vacuum makes windows wait.
_START, _END = slice(1, 4), slice(7, 10)
_PAUSE_SECONDS = 0.05
_OUR_BYTES = "select sum(pg_total_relation_size(outbox)) from pgevents.pending_outboxes()"
_NAIVE_BYTES = "select pg_total_relation_size('naive_outbox')"


class Part(msgspec.Struct):
    """What was taken in a tenth of the time, the processor seconds of reader and server for that, and the
    most bytes that the outbox had."""

    events: int = 0
    seconds: float = 0.0
    outbox_bytes: int = 0

    @property
    def cost(self) -> float:
        """Microseconds of processor time an event."""
        return self.seconds / max(1, self.events) * 1e6


def sustained(args: argparse.Namespace) -> Report:
    """Reads beside a writer for some minutes. Raises InputError for a time or a rate that makes no sense."""
    if args.minutes <= 0 or args.rate < 100:
        raise InputError("--minutes must be more than 0, and --rate at least 100")
    tell = measure.teller(args)
    with running() as bed:
        report = Report("drain, sustained", facts(PostgreSQL=bed.version))
        with _writing(bed, args.rate):
            ours, naive = _read(bed, args.minutes * 60, tell)
        for name, parts in (("the drain", ours), ("jsonb, SKIP LOCKED and DELETE", naive)):
            report.figure(f"{name}: events", sum(part.events for part in parts))
            report.figure(f"{name}: cost an event at the start", _cost(parts[_START]), "us")
            report.figure(f"{name}: cost an event at the end", _cost(parts[_END]), "us")
            report.figure(f"{name}: outbox at the start", parts[_START][0].outbox_bytes / 1e6, "MB")
            report.figure(f"{name}: outbox at the end", parts[_END][-1].outbox_bytes / 1e6, "MB")
        report.figure("minutes", args.minutes)
        slower = _cost(ours[_END]) / _cost(ours[_START])
        report.target("cost at the end, of the start's", slower, "<=", SLOWER_AT_MOST)
    return report


def _cost(parts: list[Part]) -> float:
    """Microseconds of processor time an event, the median of some parts."""
    return median(part.cost for part in parts)


def _read(bed: Bed, seconds: float, tell: Tell) -> tuple[list[Part], list[Part]]:
    """Takes from both outboxes in turn, until the time is up."""
    ours, naive = ([Part() for _ in range(_PARTS)] for _ in range(2))
    began, told = time.monotonic(), 0
    outbox = bed.outbox
    while (elapsed := time.monotonic() - began) < seconds:
        at = int(elapsed / seconds * _PARTS)
        _take(bed, drained, ours[at], _OUR_BYTES)
        outbox.rotate()
        _take(bed, skip_locked, naive[at], _NAIVE_BYTES)
        if at > told:
            tell(f"{elapsed:,.0f} s: {ours[told].cost:.1f} and {naive[told].cost:.1f} us an event")
            told = at
        time.sleep(_PAUSE_SECONDS)
    return ours, naive


def _take(bed: Bed, reader: Reader, part: Part, size: str) -> None:
    found = bed.reader.execute(size.encode()).fetchone()
    part.outbox_bytes = max(part.outbox_bytes, int(found[0] or 0) if found else 0)
    began = Processor.spent(bed.reader)
    part.events += reader(bed, 1_000_000)
    part.seconds += sum(Processor.spent(bed.reader)) - sum(began)


@contextmanager
def _writing(bed: Bed, rate: int) -> Iterator[None]:
    """Somebody writes so many events a second into each outbox, meanwhile."""
    ended = threading.Event()

    def write() -> None:
        events = rate // _WRITES_A_SECOND
        with connected(bed.app.info.dsn) as app:
            first, due = 1, time.monotonic()
            while not ended.wait(max(0.0, due - time.monotonic())):
                first = capture(app, events, first)
                write_naive(app, events)
                due = max(due + 1 / _WRITES_A_SECOND, time.monotonic() - 1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()
