"""The ledger's figures as CloudWatch metrics: written into the log in the embedded metric format.

So no call to CloudWatch is needed, which no subnet without a way out could; infra/monitoring.py draws it.
"""

import time

import msgspec
import psycopg

from pgevents import log

# The embedded metric format takes at most so many values of one metric in a line.
_VALUES = 100
_UNITS = {
    "CommitToApplied": "Milliseconds",
    "OldestWaiting": "Seconds",
    "OutboxBytes": "Bytes",
}


class Figures(msgspec.Struct, frozen=True, rename="pascal"):
    """How a source stands. `commit_to_applied` has a value for each batch applied in the time looked at, at
    most 100, `events_applied` the events of all; doorbells are counted since capture was installed."""

    commit_to_applied: list[float]
    events_applied: int
    events_waiting: int
    oldest_waiting: float
    dead_letters: int
    doorbells_rung: int
    doorbells_failed: int
    outbox_bytes: int


def measure(connection: psycopg.Connection, seconds: float) -> Figures:
    """The figures of a source, those of batches for the last `seconds`."""
    row = connection.execute(_FIGURES, {"seconds": seconds, "values": _VALUES}).fetchone()
    if row is None:
        raise AssertionError("a query without a condition has one row")
    return Figures(*row)


def write(namespace: str, source: str, figures: Figures) -> None:
    """One line of the log. A metric without a value is left out: CloudWatch would refuse the whole line."""
    values = {name: value for name, value in msgspec.to_builtins(figures).items() if value != []}
    metrics = [{"Name": name, "Unit": _UNITS.get(name, "Count")} for name in values]
    directive = {"Namespace": namespace, "Dimensions": [["Source"]], "Metrics": metrics}
    about = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    log.info("ledger", **{"_aws": about, "Source": source, **values})


_FIGURES = """
with applied as (
    select b.events, (extract(epoch from b.applied_at - b.first_captured_at) * 1000)::float8 as latency_ms
    from pgevents.batch as b
    where
        b.state = 'applied' and b.kind = 'window'
        and b.applied_at > clock_timestamp() - make_interval(secs => %(seconds)s)
)

select
    array(select a.latency_ms from applied as a order by random() limit %(values)s),
    (select coalesce(sum(a.events), 0) from applied as a)::bigint,
    pgevents.unapplied_events(pg_current_snapshot()),
    coalesce(extract(epoch from clock_timestamp() - (
        select min(b.first_captured_at) from pgevents.batch as b
        where b.state in ('open', 'forwarded', 'held')
    )), 0)::float8,
    (
        select count(*) from pgevents.dead_letter as l
        where l.resolved_at is null and l.replay_batch_id is null
    ),
    (select last_value from pgevents.doorbell_rung),
    (select last_value from pgevents.doorbell_failed),
    (select coalesce(sum(pg_total_relation_size(o.outbox)), 0) from pgevents.pending_outboxes() as o)::bigint
"""
