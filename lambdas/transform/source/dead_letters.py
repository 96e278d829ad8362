"""The dead-letter store: events that could not be taken, and the later events of the same rows."""

from collections.abc import Collection, Iterable

import msgspec

from pgevents.batch import Values
from transform.source.captured import Dead, LedgerBatch, TableRows, keys_of
from transform.source.letters import tables_of
from transform.source.session import SourceSession

DeadKeys = dict[tuple[str, Values], int]


class DeadLetters(SourceSession):
    """The dead letters of one source."""

    def dead_keys(self, batch: LedgerBatch, tables: Iterable[TableRows]) -> DeadKeys:
        """Of the rows that a batch's events are about, those whose events wait in the dead-letter store:
        (table, key) → the version of the first that waits.

        A replay's own letters do not count. It costs a look-up for each of the rows, however many letters
        there are, and nothing in a table that has none.
        """
        by_name: dict[str, list[TableRows]] = {}
        for rows in tables:
            by_name.setdefault(rows.table, []).append(rows)
        replay = batch.batch_id if batch.kind == "replay" else None
        dead: DeadKeys = {}
        for (table,) in self._connection.execute(_TABLES_WITH_LETTERS, (list(by_name),)).fetchall():
            keys = {key for rows in by_name[table] for key in _keys_of(rows)}
            asked = [msgspec.json.encode(key).decode() for key in keys]
            for key, version in self._connection.execute(_FIRST_DEAD, (table, asked, replay)):
                dead[table, tuple(msgspec.json.decode(key))] = version
        return dead

    def buried(self, batch: LedgerBatch) -> frozenset[int]:
        """The events of a batch, by seq, that died when it was taken before, whatever became of them since.

        Without them the batch is the same again, even if they have been replayed meanwhile.
        """
        rows = self._connection.execute(
            "select seq from pgevents.dead_letter where batch_id = %s", (batch.batch_id,)
        )
        return frozenset(seq for (seq,) in rows)

    def bury(self, batch: LedgerBatch, dead: list[Dead]) -> None:
        """Keeps events that could not be taken. Of a batch that is read again, those that are kept already
        stay as they are; those of a replay wait again, with the new error."""
        statement = _BURY_AGAIN if batch.kind == "replay" else _BURY
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.executemany(statement, [_parameters(batch, letter) for letter in dead])
            cursor.execute(
                "select pgevents.hold_keys(%s, %s)", (batch.event_epoch, [letter.seq for letter in dead])
            )

    def letters(self, batch: LedgerBatch) -> list[TableRows]:
        """The letters that a replay sends again, as the changes that they were."""
        return tables_of(self._connection.execute(_LETTERS, (batch.batch_id,)))

    def replay_waiting(self, batch_events: int, why: str) -> int:
        """Sends again what has nothing before it any more that it could wait behind; how many."""
        return self._count("select pgevents.replay_waiting(%s, 'pgevents', %s)", (batch_events, why))

    def reclaim_letters(self) -> None:
        """Lets letters wait again whose replay will never come about."""
        self._connection.execute("select pgevents.reclaim_letters()")


def without(tables: Collection[TableRows], seqs: frozenset[int]) -> list[TableRows]:
    """The tables' changes but for these."""
    if not seqs:
        return list(tables)
    return [
        msgspec.structs.replace(rows, rows=[row for row in rows.rows if row.seq not in seqs])
        for rows in tables
    ]


def _keys_of(rows: TableRows) -> Iterable[Values]:
    positions = rows.key_positions()
    return (key for row in rows.rows for key in keys_of(row, positions))


def _parameters(batch: LedgerBatch, letter: Dead) -> dict[str, object]:
    return {
        "batch_id": batch.batch_id,
        "epoch": batch.event_epoch,
        "seq": letter.seq,
        "table": letter.table,
        "type": letter.event_type,
        "keys": msgspec.json.encode(letter.keys).decode(),
        "event": letter.event.decode(),
        "error": letter.error,
        "stack": letter.stack,
        "waits": letter.waits,
    }


_TABLES_WITH_LETTERS = """
select t.name from unnest(%s::text[]) as t (name)
where exists (select from pgevents.dead_key as d where d.table_name = t.name)
"""

_FIRST_DEAD = "select key, version from pgevents.first_dead(%s, %s, %s)"

_BURY = """
insert into pgevents.dead_letter
(batch_id, epoch, seq, table_name, event_type, keys, event, error, stack, waits, attempts)
values (
    %(batch_id)s, %(epoch)s, %(seq)s, %(table)s, %(type)s, %(keys)s::json, %(event)s::jsonb, %(error)s,
    %(stack)s, %(waits)s, (not %(waits)s)::integer
)
on conflict do nothing
"""

# What only waits was not tried, and keeps the error that it may have had.
_BURY_AGAIN = """
update pgevents.dead_letter as l
set
    replay_batch_id = null,
    attempts = l.attempts + (not %(waits)s)::integer,
    waits = l.waits and %(waits)s,
    error = case when %(waits)s then l.error else %(error)s end,
    stack = case when %(waits)s then l.stack else %(stack)s end
where
    l.epoch = %(epoch)s and l.seq = %(seq)s and l.replay_batch_id = %(batch_id)s and l.resolved_at is null
"""

_LETTERS = """
select l.table_name, l.event_type, l.seq, coalesce(c.key, '{}'), l.event::text
from pgevents.dead_letter as l
left join pgevents.captured_table as c on c.name = l.table_name and c.ended is null
where l.replay_batch_id = %s and l.resolved_at is null
order by l.seq
"""
