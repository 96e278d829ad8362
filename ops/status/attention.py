"""What of a source wants an operator's attention: pauses, batches that wait or are tried time and again, dead
letters, a new epoch, and the snapshots that are under way."""

from datetime import datetime
from typing import TypeVar

import msgspec
import psycopg
from psycopg.rows import class_row

Line = TypeVar("Line")

_OFTEN = 3
_MOST_LINES = 5


class Pause(msgspec.Struct, frozen=True):
    """What is paused: the word source, or the name of a sink."""

    what: str
    since: datetime
    by: str
    reason: str


class Held(msgspec.Struct, frozen=True):
    """Batches that wait for a sink, and why the last of them was not taken."""

    sink: str
    batches: int
    events: int
    error: str


class TriedOften(msgspec.Struct, frozen=True):
    """A batch that is not applied after some attempts, or one that failed and that nothing may overtake.

    It stands in the way when it was the batch that failed, and not a sink of it.
    """

    batch_id: int
    kind: str
    state: str
    attempts: int
    error: str
    in_the_way: bool


class Epoch(msgspec.Struct, frozen=True):
    """An epoch that began because the source was restored or replaced."""

    epoch: int
    since: datetime
    reason: str


class Snapshot(msgspec.Struct, frozen=True):
    """A request to send the rows of a table that has not been finished, or has failed."""

    table: str
    kind: str
    state: str
    rows: int
    expected_rows: int | None
    error: str | None


class Attention(msgspec.Struct, frozen=True):
    """Everything that is not as it mostly is.

    Of the letters, `died` were tried themselves, and the others wait behind them; `replaying` are being sent
    again.
    """

    paused: list[Pause]
    held: list[Held]
    tried_often: list[TriedOften]
    letters_died: int
    letters_replaying: int
    new_epochs: list[Epoch]
    snapshots: list[Snapshot]


def attention(connection: psycopg.Connection) -> Attention:
    """What of a source wants attention now."""
    died, replaying = connection.execute(_LETTERS).fetchall()[0]
    return Attention(
        paused=_rows(connection, Pause, _PAUSED),
        held=_rows(connection, Held, _HELD),
        tried_often=_rows(connection, TriedOften, _TRIED_OFTEN, (_OFTEN, _MOST_LINES)),
        letters_died=died,
        letters_replaying=replaying,
        new_epochs=_rows(connection, Epoch, _EPOCHS, (_MOST_LINES,)),
        snapshots=_rows(connection, Snapshot, _SNAPSHOTS, (_MOST_LINES,)),
    )


def _rows(
    connection: psycopg.Connection, kind: type[Line], query: str, parameters: tuple[object, ...] = ()
) -> list[Line]:
    with connection.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(query, parameters).fetchall()


_PAUSED = """
select p.what, p.paused_at as since, p.paused_by as by, p.reason from pgevents.paused as p order by p.what
"""

_HELD = """
select
    sink, count(*) as batches, sum(b.events)::bigint as events,
    (array_agg(b.last_error order by b.batch_id desc))[1] as error
from pgevents.batch as b
cross join lateral unnest(b.held_for) as sink
where b.state = 'held'
group by sink
order by sink
"""

# A sink's failure begins with its name, in lower case, and leaves the batch for later. A batch's own begins
# with the class of the error, and stops the drain.
_TRIED_OFTEN = """
select b.batch_id, b.kind, b.state, b.attempts, b.last_error as error, w.in_the_way
from pgevents.batch as b
cross join lateral (select b.state = 'open' or b.last_error ~ '^[A-Z]' as in_the_way) as w
where
    b.state in ('open', 'forwarded', 'held')
    and (b.attempts >= %s or w.in_the_way and b.last_error <> '')
    and not exists (select from pgevents.paused as p where p.what = any (b.held_for))
order by w.in_the_way desc, b.attempts desc, b.batch_id
limit %s
"""

_LETTERS = """
select
    count(*) filter (where l.replay_batch_id is null and not l.waits),
    count(*) filter (where l.replay_batch_id is not null)
from pgevents.dead_letter as l
where l.resolved_at is null
"""

_EPOCHS = """
select e.epoch, e.began_at as since, e.reason
from pgevents.epoch as e
where e.epoch > (select min(first.epoch) from pgevents.epoch as first)
order by e.epoch desc
limit %s
"""

# A failure stays in sight for a day.
_SNAPSHOTS = """
select t.name as table, r.kind, r.state, r.row_count as rows, r.expected_rows, r.error
from pgevents.snapshot_request as r
inner join pgevents.captured_table as t on t.table_id = r.table_id
where
    r.state in ('waiting', 'running')
    or r.state = 'failed' and r.finished_at > clock_timestamp() - interval '1 day'
order by r.request_id
limit %s
"""
