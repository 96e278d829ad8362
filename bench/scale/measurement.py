"""The measurement itself."""

import argparse
import time
from functools import partial

from bench import measure
from bench.measure import Report, facts, interleaved
from bench.measure.rounds import Tell
from bench.scale.shards import ShardedSource, transform_that_waits
from bench.scale.sources import Sources, running_sources
from bench.scale.whole import whole_pipeline
from pgevents.errors import InputError

_LONGER = 10
_MOST_COST, _MOST_TIME = 1.10, 11.0
_SHARDS = 4
_BATCH_EVENTS = 5_000
# What another system may take to answer.
_WAIT_SECONDS = 0.001


def measured(args: argparse.Namespace) -> Report:
    """Runs it. Raises InputError for a count that makes no sense."""
    events = (5_000 if args.quick else 50_000) if args.events is None else args.events
    if args.sources < 2 or events < 10 * args.sources:
        raise InputError(
            f"--sources {args.sources}, --events {events}: at least two sources, and ten events for each"
        )
    rounds, tell = measure.rounds(args, 5), measure.teller(args)
    with running_sources(args.sources) as sources:
        report = Report("scale", facts(PostgreSQL=sources.version()))
        sources.drain_once()
        one, many, share = "one source", f"{args.sources} sources", events // args.sources
        costs = report.compare(
            interleaved(
                f"An event of {args.sources} drains of {share:,}, processor time",
                {one: partial(_cost_in_one, sources, share), many: partial(_cost_in_all, sources, share)},
                unit="us", baseline=one, rounds=rounds, tell=tell,
            )
        )  # fmt: skip
        report.target(f"cost of an event, {many} / one", costs.ratio(many).median, "<=", _MOST_COST)
        fewer = events // _LONGER
        shorter, longer = f"{fewer:,} events", f"{events:,} events"
        times = report.compare(
            interleaved(
                "Until a backlog is drained",
                {shorter: partial(_time, sources, fewer), longer: partial(_time, sources, events)},
                unit="s", baseline=shorter, rounds=rounds, tell=tell,
            )
        )  # fmt: skip
        report.target("time for ten times the backlog", times.ratio(longer).median, "<=", _MOST_TIME)
        _measure_shards(report, sources, _SHARDS * events, rounds, tell)
    _measure_whole(report, events, rounds, tell)
    return report


def _measure_whole(report: Report, events: int, rounds: int, tell: Tell) -> None:
    """The pipeline of a source in one shard, and of one in several, a whole stack for each."""
    batch_events = min(_BATCH_EVENTS, events // 10)
    one, split = "one shard", f"{_SHARDS} shards"
    with whole_pipeline(1, batch_events) as unsplit, whole_pipeline(_SHARDS, batch_events) as shared:
        for each in (unsplit, shared):
            # The first backlog starts the Lambdas, and makes the tables.
            each.cost(events)
        costs = report.compare(
            interleaved(
                f"An event of a backlog of {events:,} through the whole pipeline, processor time of all",
                {one: partial(unsplit.cost, events), split: partial(shared.cost, events)},
                unit="us", baseline=one, rounds=rounds, tell=tell,
            )
        )  # fmt: skip
    report.target(f"cost of an event, {split} / {one}", costs.ratio(split).median, "<=", _MOST_COST)


def _measure_shards(report: Report, sources: Sources, events: int, rounds: int, tell: Tell) -> None:
    one, split = "one drain", f"{_SHARDS} shards"
    with sources.sharded(_SHARDS) as source:
        for _ in range(2):
            _time_in(sources, source, 200, _SHARDS, 20)
        report.compare(
            interleaved(
                f"An event of a backlog of {events:,}, processor time of the drains",
                {
                    one: partial(_cost_in, sources, source, events, 1),
                    split: partial(_cost_in, sources, source, events, _SHARDS),
                },
                unit="us", baseline=one, rounds=rounds, tell=tell,
            )
        )  # fmt: skip
        fewer = events // 40
        with transform_that_waits(sources.table_of_first(), _WAIT_SECONDS):
            report.compare(
                interleaved(
                    f"Until {fewer:,} events are drained whose transform waits 1 ms each",
                    {
                        one: partial(_time_in, sources, source, fewer, 1, fewer // 10),
                        split: partial(_time_in, sources, source, fewer, _SHARDS, fewer // 10),
                    },
                    unit="s", baseline=one, rounds=rounds, tell=tell,
                )
            )  # fmt: skip


def _cost_in(sources: Sources, source: ShardedSource, events: int, shards: int) -> float:
    sources.commit(events, 1)
    before = source.processor_seconds()
    source.drain(events, shards, min(_BATCH_EVENTS, events // 10))
    return (source.processor_seconds() - before) / events * 1e6


def _time_in(sources: Sources, source: ShardedSource, events: int, shards: int, batch_events: int) -> float:
    sources.commit(events, 1)
    began = time.monotonic()
    source.drain(events, shards, batch_events)
    return time.monotonic() - began


def _cost_in_one(sources: Sources, share: int) -> float:
    """As many drains as there are sources, all of one of them."""
    used = sum(_used(sources, share, 1) for _ in range(sources.number))
    return used / (share * sources.number) * 1e6


def _cost_in_all(sources: Sources, share: int) -> float:
    """A drain of each source."""
    return _used(sources, share, sources.number) / (share * sources.number) * 1e6


def _used(sources: Sources, share: int, among: int) -> float:
    sources.commit(share, among)
    before = sources.processor_seconds()
    sources.drain(share, among)
    return sources.processor_seconds() - before


def _time(sources: Sources, events: int) -> float:
    sources.commit(events, 1)
    began = time.monotonic()
    sources.drain(events, 1)
    return time.monotonic() - began
