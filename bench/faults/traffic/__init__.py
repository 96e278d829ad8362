"""Real SQL traffic, seeded and replayable, that keeps its own record of what committed, and the judge of
sinks.

    traffic = Traffic({"accounts": dsn}, seed=7, load=Load(changes=2_000, writers=4))
    traffic.start()        # faults may strike: connections are cut, the source is restarted
    record = traffic.finish()
    findings = judge(record, pipeline, endpoints)   # once everything is applied; empty is the promise kept
"""

from bench.faults.traffic.histories import judge
from bench.faults.traffic.judging import Finding, judge_history, judge_source
from bench.faults.traffic.record import Record
from bench.faults.traffic.running import Load, Traffic, run
from bench.faults.traffic.tables import TABLES, create_tables, pipeline_toml, schema, target_name

__all__ = [
    "TABLES", "Finding", "Load", "Record", "Traffic", "create_tables", "judge", "judge_history",
    "judge_source", "pipeline_toml", "run", "schema", "target_name",
]  # fmt: skip
