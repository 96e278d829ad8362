"""What every bench measures, compares and prints with. `docs/how-to/measure-it.md` says how to read it.

facts.py      the machine and the versions: `facts(PostgreSQL="18.4")`
rounds.py     named variants in turn, round after round: `interleaved(...)` gives a `Comparison`
target.py     `Target("capture kept, 16 clients", 0.93, ">=", 0.92)`
report.py     `Report`: comparisons, targets, single figures, what was skipped; a table, or a line of JSON
plot.py       bars as SVG
publishing.py the bench's section of docs/reference/performance.md, with its plots
pgbench.py    pgbench on a database: rate, latency, memory of its sessions

A bench is a folder `bench/NAME/` with SUMMARY, `arguments(parser)` and `run(args)`:

    SUMMARY = "Two ways to count"

    def arguments(parser):
        measure.add_arguments(parser)           # --quick, --rounds N, --json, --publish

    def run(args):
        report = Report("counting", facts(PostgreSQL=server_version))
        pair = report.compare(
            interleaved(
                "Counting to a million", {"plain": count_plainly, "counted": count},   # () -> float
                unit="counts/s", baseline="plain", rounds=measure.rounds(args, 7), tell=measure.teller(args),
            )
        )
        report.target("counted keeps", pair.ratio("counted").median, ">=", 0.9)
        report.figure("WAL a change", 912, "bytes")
        report.skip("PgQ", "postgresql-15-pgq3 is not installed")
        return conclude(report, args)           # prints, publishes; 0 when all targets are met, else 1

A variant's function takes a measurement and returns it. Whatever must not be measured (filling tables, a
checkpoint) goes into `before`, called with the variant's name ahead of each. Where smaller is better, the
ratios are to the baseline all the same: the target says which way.
"""

from bench.measure.command import add_arguments, conclude, rounds, teller
from bench.measure.facts import Facts, facts
from bench.measure.report import Report
from bench.measure.rounds import Comparison, Spread, interleaved
from bench.measure.target import Target

__all__ = [
    "Comparison",
    "Facts",
    "Report",
    "Spread",
    "Target",
    "add_arguments",
    "conclude",
    "facts",
    "interleaved",
    "rounds",
    "teller",
]
