"""How fast a backlog is read."""

import argparse
import time

from bench import measure
from bench.drain.readers import Reader, drained, returning, skip_locked, split
from bench.drain.source import Bed, Processor, capture, running, write_naive
from bench.measure import Report, facts, interleaved
from pgevents.errors import InputError

WANTED = 150_000
_DRAIN, _SPLIT = "the drain", "the same by COPY, lines split in Python"
_SKIP_LOCKED, _RETURNING = "jsonb, SKIP LOCKED and DELETE", "jsonb, DELETE RETURNING"
# A jsonb outbox is slow: a part of it tells the rate.
_NAIVE_SHARE = 10


def backlog(args: argparse.Namespace) -> Report:
    """Measures every reader on a backlog. Raises InputError for a number of events below 1,000."""
    events = args.events or (100_000 if args.quick else 1_000_000)
    if events < 1_000:
        raise InputError(f"--events {events}: at least 1,000 are needed")
    tell = measure.teller(args)
    with running() as bed:
        report = Report("drain", facts(PostgreSQL=bed.version))
        tell(f"capturing {events:,} events")
        capture(bed.app, events)
        naive = events // _NAIVE_SHARE
        pair = report.compare(
            interleaved(
                f"Reading a backlog of {events:,} events",
                {
                    _SKIP_LOCKED: lambda: _rate(bed, skip_locked, naive),
                    _RETURNING: lambda: _rate(bed, returning, naive),
                    _SPLIT: lambda: _rate(bed, split, events),
                    _DRAIN: lambda: _rate(bed, drained, events),
                },
                unit="events/s",
                baseline=_SKIP_LOCKED,
                rounds=measure.rounds(args, 3),
                tell=tell,
                before=lambda variant: _refill(bed, variant, naive),
            )
        )
        report.target("events a second, median", pair.value(_DRAIN).median, ">=", WANTED)
        _add_processor_time(report, bed, events)
        for what, seconds in _looks(bed).items():
            report.figure(what, seconds * 1000, "ms")
        return report


def _rate(bed: Bed, reader: Reader, events: int) -> float:
    began = time.perf_counter()
    taken = reader(bed, events)
    if taken < events:
        raise InputError(f"{taken:,} of {events:,} events were there to be read")
    return taken / (time.perf_counter() - began)


def _add_processor_time(report: Report, bed: Bed, events: int) -> None:
    """What an event costs, whatever else the machine does."""
    _refill(bed, _DRAIN, 0)
    began = Processor.spent(bed.reader)
    drained(bed, events)
    ended = Processor.spent(bed.reader)
    report.figure("processor time of the drain", (ended.reader - began.reader) / events * 1e6, "us an event")
    report.figure("of its server's process", (ended.server - began.server) / events * 1e6, "us an event")


def _refill(bed: Bed, variant: str, naive: int) -> None:
    """The backlog as it was: the jsonb outbox once more, and a ledger that knows of no batch."""
    bed.app.execute("delete from pgevents.batch_part")
    bed.app.execute("delete from pgevents.batch")
    if variant in (_SKIP_LOCKED, _RETURNING):
        bed.app.execute("truncate naive_outbox restart identity")
        write_naive(bed.app, naive)
        bed.app.execute("vacuum analyze naive_outbox")
    bed.app.execute("checkpoint")


def _looks(bed: Bed) -> dict[str, float]:
    """What a look for new events takes while the whole backlog waits for a sink."""
    outbox = bed.outbox
    outbox.open_batches(10_000)
    looks = {
        "a look that opens batches": lambda: outbox.open_batches(10_000),
        "the last look": outbox.has_events,
    }
    found = {}
    for what, look in looks.items():
        began = time.perf_counter()
        look()
        found[f"{what}, all of the backlog in batches that wait"] = time.perf_counter() - began
    return found
