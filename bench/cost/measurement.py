"""The measurement itself."""

import argparse

import psycopg

from bench.cost.durations import Durations, durations
from bench.end_to_end.load import Load
from bench.end_to_end.measurement import SOURCE, settle
from bench.end_to_end.stack import measured_stack
from bench.measure import Report, facts
from ops.costs.peers import LOADS, dms, lambda_a_row, through_ours
from ops.costs.prices import PriceList, load_prices
from ops.costs.traffic import Deployment

# As infra/settings.py makes it: one archive, the sources' own sweeps, Redshift that is paid by the hour.
DEPLOYED = Deployment(
    sources=2, transform_memory=1024, writer_memory=1024, sweeps_a_minute=2, archives=1, rpu=0,
    through="endpoints",
)  # fmt: skip
_MOST = 0.1
_TARGETED = 100.0


def measured(args: argparse.Namespace) -> Report:
    """Runs it. Raises InputError when the pipeline does not come along."""
    fast, seconds = (3_000, 3.0) if args.quick else (20_000, 15.0)
    with measured_stack([SOURCE]) as arena, psycopg.connect(arena.dsns[SOURCE], autocommit=True) as source:
        report = Report("cost", facts(PostgreSQL=str(source.info.parameter_status("server_version"))))
        load = Load(arena.dsns[SOURCE])
        settle(source)
        load.commit(round(30 * seconds), 30.0)
        load.commit(fast)
        settle(source)
        found = durations(arena.state.path / "lambda" / "logs")
    _tell(report, found, load_prices())
    return report


def _tell(report: Report, found: Durations, prices: PriceList) -> None:
    for name, value, unit in (
        ("transform, a batch", found.drain, "ms"),
        ("transform, an event of it", found.drain_event * 1000, "us"),
        ("transform, an acknowledgement", found.acknowledge, "ms"),
        ("writer, a batch", found.writer, "ms"),
        ("writer, an event of it", found.writer_event * 1000, "us"),
    ):
        report.figure(name, value * 1000, unit)
    prices = found.within(prices)
    for load in LOADS:
        ours, row = through_ours(load, DEPLOYED, prices), lambda_a_row(load, DEPLOYED, prices)
        for way, figure in (("this pipeline", ours), ("DMS", dms(load, prices)), ("a Lambda a row", row)):
            report.figure(f"{load:,.0f} events/s, {way}", figure.usd_a_million, "USD a million events")
        if load == _TARGETED:
            ratio = ours.usd_a_million / row.usd_a_million
            report.target("this pipeline / a Lambda a row, 100 events/s", ratio, "<=", _MOST)
