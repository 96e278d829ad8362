"""The dead letters of a source, as an operator finds, reads, replays and discards them."""

from datetime import datetime
from typing import Any

import msgspec
import psycopg
from psycopg.rows import class_row


class Selection(msgspec.Struct, frozen=True):
    """Which letters are meant: those that fit all that is given. `keys` are columns and values as text."""

    ids: tuple[int, ...] = ()
    keys: tuple[tuple[str, str], ...] = ()
    table: str = ""
    since: datetime | None = None
    until: datetime | None = None


class Letter(msgspec.Struct, frozen=True):
    """A dead letter. `state` is waiting, replaying, replayed or discarded.

    `behind` counts the later events of its rows, which wait for it. `keys` are the row's key, and for an
    UPDATE of it the key before.
    """

    dead_letter_id: int
    table: str
    event_type: str
    keys: list[dict[str, str | None]]
    state: str
    waits: bool
    behind: int
    attempts: int
    died_at: datetime
    error: str


class LetterInFull(msgspec.Struct, frozen=True):
    """Everything that the store has of a letter. Of the values, None is NULL."""

    letter: Letter
    batch_id: int
    epoch: int
    seq: int
    captured_at: str
    before: dict[str, str | None] | None
    after: dict[str, str | None] | None
    stack: str
    replay_batch_id: int | None
    resolved_at: datetime | None
    resolved_by: str | None
    resolved_reason: str | None


class Sent(msgspec.Struct, frozen=True):
    """What a replay sends: the letters by number, how many of them were asked for, and in which batches."""

    letters: tuple[int, ...]
    asked_for: int
    batches: tuple[int, ...]


class Progress(msgspec.Struct, frozen=True):
    """How far a replay has come: `held_for` are sinks that its batches wait for, `died` have died again."""

    unfinished: int
    held_for: list[str]
    replayed: int
    died: int
    error: str


def found(connection: psycopg.Connection, which: Selection, resolved: bool, most: int) -> list[Letter]:
    """The letters of a selection, oldest first; of those that only wait for others, none unless named."""
    named = bool(which.ids or which.keys)
    query = f"{_LETTERS} where {_FITS} and {_state(resolved)} and (not l.waits or %(named)s) {_ORDER}"
    with connection.cursor(row_factory=class_row(Letter)) as cursor:
        return cursor.execute(query, {**_parameters(which), "named": named, "most": most}).fetchall()


def waiting(connection: psycopg.Connection, which: Selection) -> list[int]:
    """The numbers of the letters of a selection that could be replayed or discarded."""
    query = f"{_NUMBERS} where {_FITS} and {_WAITING} order by l.seq"
    return [number for (number,) in connection.execute(query, _parameters(which))]


def in_full(connection: psycopg.Connection, number: int) -> LetterInFull | None:
    """A letter with everything, or None when there is none of this number."""
    with connection.cursor(row_factory=class_row(Letter)) as cursor:
        letter = cursor.execute(f"{_LETTERS} where l.dead_letter_id = %(id)s", {"id": number}).fetchone()
    row = connection.execute(_REST, (number,)).fetchone()
    if letter is None or row is None:
        return None
    event, *rest = row
    before, after = (_image(event, name) for name in ("before", "after"))
    batch_id, epoch, seq, stack, replay_batch_id, *resolved = rest
    return LetterInFull(
        letter, batch_id, epoch, seq, event.get("captured_at", ""), before, after, stack, replay_batch_id,
        *resolved,
    )  # fmt: skip


def replay(
    connection: psycopg.Connection, asked: list[int], batch_events: int, by: str, why: str, dry_run: bool
) -> Sent:
    """Sends letters again, together with every other one of the same rows; with `dry_run` only says which."""
    with connection.transaction(force_rollback=dry_run):
        opened = connection.execute(
            "select batch_id from pgevents.replay(%s, %s, %s, %s)", (asked, batch_events, by, why)
        )
        batches = [number for (number,) in opened.fetchall()]
        rows = connection.execute(
            f"{_NUMBERS} where l.replay_batch_id = any (%s) order by l.epoch, l.seq", (batches,)
        ).fetchall()
    letters = tuple(number for (number,) in rows)
    return Sent(letters, len(set(letters) & set(asked)), tuple(batches))


def progress(connection: psycopg.Connection, sent: Sent) -> Progress:
    """How far a replay has come."""
    parameters = {"letters": list(sent.letters), "batches": list(sent.batches)}
    with connection.cursor(row_factory=class_row(Progress)) as cursor:
        return cursor.execute(_PROGRESS, parameters).fetchall()[0]


def discard(
    connection: psycopg.Connection, numbers: list[int], batch_events: int, by: str, why: str
) -> tuple[int, int]:
    """Gives letters up; how many, and how many that waited for them are sent again instead."""
    query = "select discarded, sent_again from pgevents.discard_letters(%s, %s, %s, %s)"
    discarded, sent_again = connection.execute(query, (numbers, batch_events, by, why)).fetchall()[0]
    return discarded, sent_again


def wake(connection: psycopg.Connection) -> None:
    """Rings the doorbell. Where that does nothing, the next sweep finds what there is."""
    connection.execute("select pgevents.wake_drain()")


def _image(event: dict[str, Any], name: str) -> dict[str, str | None] | None:
    values = event.get(name)
    if values is None or all(value is None for value in values):
        return None
    return dict(zip(event["columns"], values, strict=True))


def _state(resolved: bool) -> str:
    return "l.resolved_at is not null" if resolved else "l.resolved_at is null"


def _parameters(which: Selection) -> dict[str, object]:
    return {
        "ids": list(which.ids),
        "table": which.table,
        "since": which.since,
        "until": which.until,
        "key": msgspec.json.encode(dict(which.keys)).decode(),
    }


_FITS = """
(cardinality(%(ids)s::bigint[]) = 0 or l.dead_letter_id = any (%(ids)s::bigint[]))
and (%(table)s::text = '' or l.table_name = %(table)s::text)
and (%(since)s::timestamptz is null or l.died_at >= %(since)s::timestamptz)
and (%(until)s::timestamptz is null or l.died_at < %(until)s::timestamptz)
and (%(key)s::jsonb = '{}' or exists (
    select from json_array_elements(l.keys) as k (columns) where k.columns::jsonb @> %(key)s::jsonb
))
"""

_NUMBERS = "select l.dead_letter_id from pgevents.dead_letter as l"

_WAITING = "l.resolved_at is null and l.replay_batch_id is null"

_LETTERS = """
select
    l.dead_letter_id, l.table_name as table, l.event_type, l.keys, l.waits, l.attempts, l.died_at, l.error,
    coalesce(l.resolution, case when l.replay_batch_id is null then 'waiting' else 'replaying' end) as state,
    case when l.resolved_at is null then (
        select count(distinct later.dead_letter_id)
        from pgevents.dead_key as mine
        inner join pgevents.dead_key as later
            on
                later.table_name = mine.table_name and later.key_hash = mine.key_hash
                and later.key = mine.key and later.version > mine.version
        where mine.dead_letter_id = l.dead_letter_id
    ) else 0 end as behind
from pgevents.dead_letter as l
"""

_ORDER = "order by l.died_at, l.dead_letter_id limit %(most)s"

_REST = """
select
    l.event, l.batch_id, l.epoch, l.seq, l.stack, l.replay_batch_id, l.resolved_at, l.resolved_by,
    l.resolved_reason
from pgevents.dead_letter as l
where l.dead_letter_id = %s
"""

_PROGRESS = """
select
    (
        select count(*) from pgevents.batch as b
        where b.batch_id = any (%(batches)s) and b.state in ('open', 'forwarded', 'held')
    ) as unfinished,
    array(
        select distinct sink from pgevents.batch as b cross join lateral unnest(b.held_for) as sink
        where b.batch_id = any (%(batches)s) and b.state = 'held'
    ) as held_for,
    count(*) filter (where l.resolution = 'replayed') as replayed,
    count(*) filter (where l.resolution is null and not a.is_sent) as died,
    coalesce((array_agg(l.error order by l.seq) filter (
        where l.resolution is null and not a.is_sent and not l.waits
    ))[1], '') as error
from pgevents.dead_letter as l
cross join lateral (
    select coalesce(l.replay_batch_id = any (%(batches)s), false) as is_sent
) as a
where l.dead_letter_id = any (%(letters)s)
"""
