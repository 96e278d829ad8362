"""The ledger: which batches there are, how far each has come, and what was refused of it.

docs/reference/ledger.md explains the states.
"""

from collections.abc import Collection, Mapping
from datetime import datetime

import msgspec

from transform.source.captured import LedgerBatch
from transform.source.session import SourceSession

SHARD_LOCKS = 1885828473
"""The class of the locks that the drains of shards hold."""


class Standing(msgspec.Struct, frozen=True):
    """What a drain must know before it goes on.

    `paused` are the word source and names of sinks; `in_flight` counts the batches that the writer was given
    and has not confirmed; `has_held` says whether any batch waits for a sink, `shards_wait` whether any of
    another shard than the source's own drain takes is open.
    """

    paused: frozenset[str]
    in_flight: int
    has_held: bool
    shards_wait: bool = False

    @property
    def is_paused(self) -> bool:
        """Whether the source itself is paused."""
        return "source" in self.paused


class Ledger(SourceSession):
    """The batches of one source and their states."""

    def standing(self) -> Standing:
        """How things stand at this moment, in one look."""
        row = self._connection.execute(_STANDING).fetchone()
        if row is None:
            raise AssertionError("a query without a condition has one row")
        paused, in_flight, has_held, shards_wait = row
        return Standing(frozenset(paused), in_flight, has_held, shards_wait)

    def open(self, shard: int = 0) -> list[LedgerBatch]:
        """The batches of a shard that nobody has taken yet: replays first, which are shard 0's, then the
        oldest. None whose keys may be in an earlier one of another shard."""
        return self._ledger(f"b.state = 'open' and b.shard = %s and {_COMES_NEXT}", (shard,))

    def waiting_shards(self) -> dict[int, bool]:
        """The shards beside 0 that have open batches, each with whether a drain of it is awake."""
        query = f"{_WAITING_SHARDS} where b.state = 'open' and b.shard > 0 and {_COMES_NEXT} group by b.shard"
        return dict(self._connection.execute(query.encode(), (SHARD_LOCKS,)).fetchall())

    def overdue(self, seconds: float) -> list[LedgerBatch]:
        """The batches that were forwarded so long ago and that the writer has not confirmed, oldest first.

        One that seems to be forwarded in the future is among them: the clock was set back.
        """
        return self._ledger(
            "b.state in ('forwarded', 'held') and b.confirmed_epoch is distinct from b.epoch"
            " and not b.forwarded_at between clock_timestamp() - make_interval(secs => %s)"
            " and clock_timestamp() + interval '1 minute'",
            (seconds,),
        )

    def held_batches(self, without: Collection[str], most: int) -> list[LedgerBatch]:
        """Batches that wait for a sink other than these, those that were tried the least first.

        So one that a sink never takes does not keep the others from it.
        """
        waits_for_another = "b.state = 'held' and not b.held_for <@ %s::text[]"
        return self._ledger(waits_for_another, (list(without),), "b.attempts, ", f"limit {most:d}")

    def mark_forwarded(self, batch: LedgerBatch) -> None:
        """Notes that the writer was given the batch and every other sink has it.

        Nothing is changed if it is applied already; and it is applied if the writer was so quick as to
        confirm it before this.
        """
        self._mark(_FORWARDED, _identity(batch))

    def mark_written(self, batch: LedgerBatch) -> None:
        """Notes that every sink holds the batch."""
        self._mark(_WRITTEN, _identity(batch))

    def hold(self, batch: LedgerBatch, sinks: Collection[str], forwarded: bool, error: str) -> None:
        """Notes that the batch waits for these sinks; `forwarded` says whether the writer was given it."""
        sinks = sorted(sinks)
        self._mark(_HELD, _identity(batch) | {"sinks": sinks, "forwarded": forwarded, "error": error})

    def mark_applied(
        self,
        batch_id: int,
        applied_at: datetime | None = None,
        epoch: int | None = None,
        opened_at: datetime | None = None,
    ) -> bool:
        """Notes what the writer has confirmed; False when that was known, or it was another batch.

        The batch is applied then, if it was noted that every other sink has it; else as soon as it is.
        Answers to batches that were under way during an upgrade have neither epoch nor time.
        """
        marked = self._mark(
            _CONFIRMED,
            {"batch_id": batch_id, "applied_at": applied_at, "epoch": epoch, "opened_at": opened_at},
        )
        return marked == 1

    def note_failure(self, batch: LedgerBatch, error: str) -> None:
        """Notes why a batch could not be taken at all."""
        self._connection.execute(
            "update pgevents.batch set attempts = attempts + 1, last_error = %s"
            " where batch_id = %s and opened_at = %s",
            (error, batch.batch_id, batch.opened_at),
        )

    def note_answer(
        self, batch_id: int, error: str, epoch: int | None = None, opened_at: datetime | None = None
    ) -> None:
        """Notes why the writer could not take a batch that it was given. It stays forwarded: the sweep gives
        it to the writer once more when it is overdue."""
        self._connection.execute(
            "update pgevents.batch as b set last_error = %s"
            " where b.batch_id = %s and b.state in ('forwarded', 'held')"
            " and b.epoch = coalesce(%s, b.epoch) and b.opened_at = coalesce(%s, b.opened_at)",
            (error, batch_id, epoch, opened_at),
        )

    def refuse(
        self,
        batch_id: int,
        reasons: Mapping[int, str],
        epoch: int | None = None,
        opened_at: datetime | None = None,
    ) -> None:
        """Notes the events, by seq, that the writer refused and why, and opens their batch again.

        Nothing is opened that is applied already, or is another batch: a late answer changes nothing then.
        """
        with self._connection.transaction(), self._connection.cursor() as cursor:
            known = cursor.execute(
                _REFUSED, {"batch_id": batch_id, "epoch": epoch, "opened_at": opened_at}
            ).rowcount
            if not known:
                return
            cursor.executemany(
                "insert into pgevents.refused_event (batch_id, seq, reason) values (%s, %s, %s)"
                " on conflict do nothing",
                [(batch_id, seq, reason) for seq, reason in reasons.items()],
            )

    def refused(self, batch: LedgerBatch) -> dict[int, str]:
        """The events of a batch that the writer refused, by seq, and why."""
        rows = self._connection.execute(
            "select seq, reason from pgevents.refused_event where batch_id = %s", (batch.batch_id,)
        )
        return dict(rows.fetchall())

    def purge(self, days: int, most: int) -> bool:
        """Deletes what was applied or resolved so long ago, so much at most; whether there may be more."""
        return bool(self._value("select pgevents.purge_ledger(make_interval(days => %s), %s)", (days, most)))

    def _mark(self, update: str, parameters: Mapping[str, object]) -> int:
        """Changes a batch's state, and with it what becomes of the letters that it sends again."""
        return self._count(f"with marked as ({update} {_RETURNING}), {_LETTERS}", parameters)

    def _ledger(
        self, where: str, parameters: tuple[object, ...] = (), first: str = "", limit: str = ""
    ) -> list[LedgerBatch]:
        query = f"{_BATCHES} where {where} order by {first} b.kind, b.batch_id {limit}"
        return [LedgerBatch(*row) for row in self._connection.execute(query.encode(), parameters)]


def _identity(batch: LedgerBatch) -> dict[str, object]:
    """What a batch must still be when it is noted: a new epoch has its events taken once more."""
    return {"batch_id": batch.batch_id, "epoch": batch.epoch, "opened_at": batch.opened_at}


# By kind, replay comes before window: a row's later events go on as soon as the earlier ones are put right.
_BATCHES = """
select
    b.batch_id, b.epoch, b.events, b.opened_at, b.kind, b.replay_epoch,
    b.confirmed_epoch is not distinct from b.epoch
from pgevents.batch as b
"""

# Windows are split in different ways when the number of shards is changed, or when they are small: a key is
# then in one shard first and in another one later. Those of one way are taken before those of the next.
_COMES_NEXT = """
(
    b.kind <> 'window'
    or b.batch_id < coalesce(
        (
            select min(e.batch_id)
            from pgevents.batch as e
            where
                e.state = 'open' and e.kind = 'window' and e.shards <> (
                    select f.shards from pgevents.batch as f
                    where f.state = 'open' and f.kind = 'window'
                    order by f.batch_id limit 1
                )
        ),
        b.batch_id + 1
    )
)
"""

_WAITING_SHARDS = """
select
    b.shard,
    exists (
        select from pg_locks as l
        inner join pg_database as d on l.database = d.oid
        where
            l.locktype = 'advisory' and l.classid = %s and l.objid = b.shard and l.objsubid = 2
            and d.datname = current_database()
    )
from pgevents.batch as b
"""

_STANDING = """
select
    array(select p.what from pgevents.paused as p),
    (
        select count(*) from pgevents.batch as b
        where
            b.state in ('forwarded', 'held') and b.forwarded_at is not null
            and b.confirmed_epoch is distinct from b.epoch
    ),
    exists (select from pgevents.batch as b where b.state = 'held'),
    exists (select from pgevents.batch as b where b.state = 'open' and b.shard > 0)
"""

_FORWARDED = """
update pgevents.batch as b
set
    state = case when b.confirmed_epoch is not distinct from b.epoch then 'applied' else 'forwarded' end,
    applied_at = case when b.confirmed_epoch is not distinct from b.epoch then clock_timestamp() end,
    forwarded_at = clock_timestamp(), held_for = '{}', last_error = '', attempts = b.attempts + 1
where
    b.batch_id = %(batch_id)s and b.epoch = %(epoch)s and b.opened_at = %(opened_at)s
    and b.state in ('open', 'forwarded', 'held')
"""

_WRITTEN = """
update pgevents.batch as b
set
    state = 'applied', applied_at = clock_timestamp(), held_for = '{}', last_error = '',
    attempts = b.attempts + 1
where
    b.batch_id = %(batch_id)s and b.epoch = %(epoch)s and b.opened_at = %(opened_at)s
    and b.state in ('open', 'forwarded', 'held')
"""

_HELD = """
update pgevents.batch as b
set
    state = 'held', held_for = %(sinks)s, last_error = %(error)s, attempts = b.attempts + 1,
    forwarded_at = case when %(forwarded)s then clock_timestamp() end
where
    b.batch_id = %(batch_id)s and b.epoch = %(epoch)s and b.opened_at = %(opened_at)s
    and b.state in ('open', 'forwarded', 'held')
"""

# A batch that is open may not have been written to every sink yet, one that is held has not: that Redshift
# has it is all that is known then.
_CONFIRMED = """
update pgevents.batch as b
set
    confirmed_epoch = b.epoch,
    state = case when b.state = 'forwarded' then 'applied' else b.state end,
    applied_at = case when b.state = 'forwarded' then coalesce(%(applied_at)s, clock_timestamp()) end
where
    b.batch_id = %(batch_id)s and b.state in ('open', 'forwarded', 'held')
    and b.confirmed_epoch is distinct from b.epoch
    and b.epoch = coalesce(%(epoch)s, b.epoch) and b.opened_at = coalesce(%(opened_at)s, b.opened_at)
"""

_REFUSED = """
update pgevents.batch as b
set state = 'open'
where
    b.batch_id = %(batch_id)s and b.state in ('open', 'forwarded', 'held')
    and b.confirmed_epoch is distinct from b.epoch
    and b.epoch = coalesce(%(epoch)s, b.epoch) and b.opened_at = coalesce(%(opened_at)s, b.opened_at)
"""

_RETURNING = "returning b.batch_id, b.kind, b.state, b.requested_by, b.reason"

# A replay that was taken holds its rows' later events back no more; one that was applied has put them right.
_LETTERS = """
released as (
    delete from pgevents.dead_key as d
    using marked as m, pgevents.dead_letter as l
    where m.kind = 'replay' and l.replay_batch_id = m.batch_id and d.dead_letter_id = l.dead_letter_id
),

resolved as (
    update pgevents.dead_letter as l
    set
        resolved_at = clock_timestamp(), resolution = 'replayed', resolved_by = m.requested_by,
        resolved_reason = m.reason
    from marked as m
    where
        m.kind = 'replay' and m.state = 'applied' and l.replay_batch_id = m.batch_id
        and l.resolved_at is null
)

select count(*) from marked
"""
