"""What a source's ledger says: how far its events have come, how long that took, what has died."""

from datetime import datetime

import msgspec
import psycopg
from psycopg.rows import class_row

from ops.status.attention import Attention, attention
from pgevents.errors import InputError


class SourceStatus(msgspec.Struct, frozen=True):
    """The state of one source. Times are in milliseconds, from capture to applied."""

    source: str
    events_applied: int
    events_waiting: int
    batches_in_flight: int
    dead_letters: int
    oldest_waiting_seconds: float
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    doorbells_rung: int
    doorbells_failed: int
    outbox_bytes: int
    attention: Attention


class BatchLine(msgspec.Struct, frozen=True):
    """One batch of the ledger."""

    batch_id: int
    state: str
    events: int
    attempts: int
    opened_at: datetime
    latency_ms: float | None
    kind: str = "window"
    held_for: list[str] = []


def status(source: str, connection: psycopg.Connection) -> SourceStatus:
    """The source's state as of now. Raises InputError when capture is not installed there."""
    require_installed(source, connection)
    row = connection.execute(_STATUS).fetchone()
    if row is None:
        raise InputError(f"source {source} has lost its settings; install capture again")
    return SourceStatus(source, *(*row, attention(connection)))


def snapshot(source: str, connection: psycopg.Connection) -> str:
    """What has committed by now, to be asked about later."""
    require_installed(source, connection)
    return str(_value(connection, "select pg_current_snapshot()::text"))


def unapplied(connection: psycopg.Connection, seen: str) -> int:
    """How many of the events that had committed by a snapshot are not applied yet."""
    return int(str(_value(connection, "select pgevents.unapplied_events(%s::pg_snapshot)", (seen,))))


def unsent(connection: psycopg.Connection) -> int:
    """How many requests for rows that capture itself has made are not finished."""
    return int(str(_value(connection, _UNSENT)))


def dead_letters(connection: psycopg.Connection) -> int:
    """How many events wait in the dead-letter store; those that are being sent again are unapplied."""
    return int(str(_value(connection, _DEAD_LETTERS)))


def batches_after(connection: psycopg.Connection, batch_id: int) -> list[BatchLine]:
    """The finished batches behind one, in order."""
    with connection.cursor(row_factory=class_row(BatchLine)) as cursor:
        return cursor.execute(_BATCHES, (batch_id,)).fetchall()


def last_batches(connection: psycopg.Connection, count: int) -> list[BatchLine]:
    """The newest batches in any state, newest first."""
    with connection.cursor(row_factory=class_row(BatchLine)) as cursor:
        return cursor.execute(_LAST_BATCHES, (count,)).fetchall()


def require_installed(source: str, connection: psycopg.Connection) -> None:
    """Raises InputError when capture is not installed in a source."""
    if _value(connection, "select to_regclass('pgevents.batch')") is None:
        raise InputError(f"capture is not installed in source {source}; run ./pgevents up, or deploy")


def _value(connection: psycopg.Connection, query: str, parameters: tuple[object, ...] = ()) -> object:
    row = connection.execute(query, parameters).fetchone()
    return row[0] if row else None


# They are a part of what a committed TRUNCATE does.
_UNSENT = """
select count(*) from pgevents.snapshot_request as r
where r.state in ('waiting', 'running') and r.reason = pgevents.old_snapshot_reason()
"""

_DEAD_LETTERS = """
select count(*) from pgevents.dead_letter as l where l.resolved_at is null and l.replay_batch_id is null
"""

# The latency of a batch is that of its first event: none of its others took longer. Weighted by events.
_STATUS = """
with newest as (
    select b.batch_id, b.events, b.applied_at - b.first_captured_at as latency
    from pgevents.batch as b
    where b.state = 'applied' and b.kind = 'window'
    order by b.batch_id desc
    limit 100000
),

applied as (
    select
        n.events,
        extract(epoch from n.latency) * 1000 as latency_ms,
        sum(n.events) over (order by n.latency, n.batch_id) as events_up_to
    from newest as n
),

total as (select coalesce(sum(events), 0) as events from applied)

select
    (
        select p.events + (
            select coalesce(sum(b.events), 0) from pgevents.batch as b
            where b.state = 'applied' and b.kind = 'window'
        ) from pgevents.purged as p
    )::bigint,
    pgevents.unapplied_events(pg_current_snapshot()),
    (
        select count(*) from pgevents.batch as b
        where b.state in ('forwarded', 'held') and b.forwarded_at is not null
        and b.confirmed_epoch is distinct from b.epoch
    ),
    (
        select count(*) from pgevents.dead_letter as l
        where l.resolved_at is null and l.replay_batch_id is null
    ),
    coalesce(extract(epoch from clock_timestamp() - (
        select min(b.first_captured_at) from pgevents.batch as b
        where b.state in ('open', 'forwarded', 'held')
    )), 0)::float8,
    (select min(a.latency_ms) from applied as a where a.events_up_to >= total.events * 0.50)::float8,
    (select min(a.latency_ms) from applied as a where a.events_up_to >= total.events * 0.99)::float8,
    (select last_value from pgevents.doorbell_rung),
    (select last_value from pgevents.doorbell_failed),
    (select coalesce(sum(pg_total_relation_size(o.outbox)), 0) from pgevents.pending_outboxes() as o)::bigint
from total
"""

_BATCH_LINE = """
select
    b.batch_id, b.state, b.events, b.attempts, b.opened_at,
    (extract(epoch from b.applied_at - b.first_captured_at) * 1000)::float8 as latency_ms, b.kind, b.held_for
from pgevents.batch as b
"""

_LAST_BATCHES = _BATCH_LINE + "order by b.batch_id desc limit %s"

_BATCHES = (
    _BATCH_LINE
    + """
where b.batch_id > %s and b.state in ('applied', 'dead')
order by b.batch_id
"""
)
