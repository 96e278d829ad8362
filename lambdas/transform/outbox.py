"""A source database as the drain sees it: its lock, its ledger and the events of a batch."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec
import psycopg
from psycopg import sql

from pgevents.batch import Values
from pgevents.errors import PgEventsError, TransientError
from transform import copy_text

_DRAIN_LOCK = (1885828470, 0)
_OWN_FIELDS = 4
_POLL_SECONDS = 0.005
# A writer that is about to commit holds the lock for a moment, to find out whether a drain does.
_LOCK_PAUSES_SECONDS = (0.002, 0.01)
_HALF_FULL_BYTES = 8 * 1024 * 1024
_ROTATE_SECONDS = 5.0


class LedgerBatch(msgspec.Struct, frozen=True):
    """A batch as the ledger has it. `opened_at` is the database's clock, in UTC."""

    batch_id: int
    epoch: int
    events: int
    opened_at: datetime


class OutboxRow(NamedTuple):
    """One captured change as the outbox holds it: values in PostgreSQL's text form, in the layout's order."""

    op: str
    seq: int
    transaction_id: int
    captured_at: str
    before: Values
    after: Values


class TableRows(msgspec.Struct, frozen=True):
    """The changes of one table in one layout, in order of seq. `table` is schema.table."""

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[OutboxRow]


class Dead(NamedTuple):
    """A change that could not be taken, as it is kept. `keys` are the row's keys, each column → text."""

    seq: int
    table: str
    event_type: str
    keys: list[dict[str, str | None]]
    event: bytes
    error: str
    stack: str


@contextlib.contextmanager
def translated(source: str) -> Iterator[None]:
    """Turns a failing connection into TransientError; whatever was not finished is found again."""
    try:
        yield
    except psycopg.OperationalError as error:
        raise TransientError(f"source {source}: {str(error).strip() or type(error).__name__}") from error


class Outbox:
    """The outbox and ledger of one source, over one connection in autocommit mode."""

    def __init__(self, source: str, connection: psycopg.Connection) -> None:
        self.source = source
        self._connection = connection
        self._rotated_at = time.monotonic()

    def try_lock(self) -> bool:
        """Takes the drain's lock if no other drain holds it. It is held by the session and ends with it."""
        for pause in _LOCK_PAUSES_SECONDS:
            if self._value("select pg_try_advisory_lock(%s, %s)", _DRAIN_LOCK):
                return True
            time.sleep(pause)
        return bool(self._value("select pg_try_advisory_lock(%s, %s)", _DRAIN_LOCK))

    def unlock(self) -> None:
        """Lets go of the drain's lock."""
        self._value("select pg_advisory_unlock(%s, %s)", _DRAIN_LOCK)

    def open_batches(self, batch_events: int) -> int:
        """Turns what has committed since the last look into batches; how many there are."""
        if time.monotonic() > self._rotated_at + _ROTATE_SECONDS:
            # A drain that always finds more never ends, and the outbox would grow as long as it goes on.
            self.rotate()
        return int(str(self._value("select pgevents.open_batches(%s)", (batch_events,))))

    def has_events(self) -> bool:
        """Whether something has committed that is in no batch yet."""
        return bool(self._value("select pgevents.has_events()"))

    def wait_for_running(self, seconds: float) -> None:
        """Waits until every transaction that runs now has ended, at most so long."""
        younger = self._value("select pg_current_xact_id()::text")
        until = time.monotonic() + seconds
        still_running = "select pgevents.still_running(%s::xid8)"
        while time.monotonic() < until and self._value(still_running, (younger,)):
            time.sleep(_POLL_SECONDS)

    def open(self) -> list[LedgerBatch]:
        """The batches that have not been forwarded, oldest first."""
        return self._ledger(_OPEN)

    def overdue(self, seconds: float) -> list[LedgerBatch]:
        """The batches that were forwarded so long ago and are not applied, oldest first."""
        return self._ledger(_OVERDUE, (seconds,))

    def in_flight(self) -> int:
        """How many batches are forwarded and not applied."""
        return int(str(self._value("select count(*) from pgevents.batch where state = 'forwarded'")))

    def read(self, batch: LedgerBatch) -> list[TableRows]:
        """The events of a batch, the same ones at every call until it is applied.

        Raises PgEventsError when they are not all there: something else than this project has taken them.
        """
        found = 0
        for in_place in (True, False):
            tables = self._tables(batch, in_place)
            found = sum(len(table.rows) for table in tables)
            if found == batch.events:
                return tables
        raise PgEventsError(
            f"source {self.source}: batch {batch.batch_id} holds {found} of its {batch.events} events; "
            "something else has changed the outbox: set the batch's state to 'dead' in pgevents.batch, "
            "then compare source and targets"
        )

    def _tables(self, batch: LedgerBatch, in_place: bool) -> list[TableRows]:
        found: dict[tuple[str, ...], TableRows] = {}
        for table, key, columns, types, query in self._connection.execute(
            "select table_name, key, columns, types, query from pgevents.batch_queries(%s, %s)",
            (batch.batch_id, in_place),
        ).fetchall():
            shape = (table, repr(key), repr(columns), repr(types))
            merged = found.setdefault(shape, TableRows(table, tuple(key), tuple(columns), tuple(types), []))
            merged.rows.extend(self._copied(query, len(columns)))
        for merged in found.values():
            # Both halves of the outbox may hold a part of the batch.
            merged.rows.sort(key=lambda row: row.seq)
        return [merged for merged in found.values() if merged.rows]

    def mark_forwarded(self, batch: LedgerBatch) -> None:
        """Notes that the batch was handed on; nothing is changed if it is applied already."""
        self._connection.execute(
            "update pgevents.batch"
            " set state = 'forwarded', forwarded_at = clock_timestamp(), attempts = attempts + 1"
            " where batch_id = %s and state in ('open', 'forwarded')",
            (batch.batch_id,),
        )

    def mark_applied(self, batch_id: int, applied_at: datetime | None = None) -> bool:
        """Notes that every sink holds the batch; False when that was known already."""
        updated = self._connection.execute(
            "update pgevents.batch set state = 'applied', applied_at = coalesce(%s, clock_timestamp())"
            " where batch_id = %s and state in ('open', 'forwarded')",
            (applied_at, batch_id),
        )
        return updated.rowcount == 1

    def refuse(self, batch_id: int, reasons: Mapping[int, str]) -> None:
        """Notes the events, by seq, that the writer refused and why, and opens their batch again.

        Nothing is opened that is applied already: a late answer to an earlier attempt changes nothing then.
        """
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.executemany(
                "insert into pgevents.refused_event (batch_id, seq, reason) values (%s, %s, %s)"
                " on conflict do nothing",
                [(batch_id, seq, reason) for seq, reason in reasons.items()],
            )
            cursor.execute(
                "update pgevents.batch set state = 'open' where batch_id = %s and state = 'forwarded'",
                (batch_id,),
            )

    def refused(self, batch: LedgerBatch) -> dict[int, str]:
        """The events of a batch that the writer refused, by seq, and why."""
        rows = self._connection.execute(
            "select seq, reason from pgevents.refused_event where batch_id = %s", (batch.batch_id,)
        )
        return dict(rows.fetchall())

    def dead_keys(self) -> dict[tuple[str, Values], int]:
        """The rows whose events wait in the dead-letter store: (table, key) → the first seq that waits."""
        first: dict[tuple[str, Values], int] = {}
        for table, seq, keys in self._connection.execute(
            "select table_name, seq, keys from pgevents.dead_letter order by seq desc"
        ):
            for key in keys:
                first[table, tuple(key.values())] = seq
        return first

    def bury(self, batch: LedgerBatch, dead: list[Dead]) -> None:
        """Keeps events that could not be taken; those that are kept already stay as they are."""
        with self._connection.cursor() as cursor:
            cursor.executemany(
                "insert into pgevents.dead_letter"
                " (batch_id, epoch, seq, table_name, event_type, keys, event, error, stack)"
                " values (%s, %s, %s, %s, %s, %s::json, %s::jsonb, %s, %s) on conflict do nothing",
                [
                    (batch.batch_id, batch.epoch, letter.seq, letter.table, letter.event_type,
                     msgspec.json.encode(letter.keys).decode(), letter.event.decode(), letter.error,
                     letter.stack)
                    for letter in dead
                ],
            )  # fmt: skip

    def rotate(self) -> None:
        """Gives back the space of applied events, where that is possible without waiting."""
        self._rotated_at = time.monotonic()
        self._connection.execute("select pgevents.rotate_outbox(%s)", (_HALF_FULL_BYTES,))

    def _copied(self, query: str, width: int) -> Iterator[OutboxRow]:
        statement = sql.SQL("copy ({}) to stdout").format(sql.SQL(query))
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            copied = b"".join(bytes(block) for block in copy)
        middle = _OWN_FIELDS + width
        for fields in copy_text.rows(copied):
            op, seq, transaction_id, captured_at = fields[:_OWN_FIELDS]
            before, after = tuple(fields[_OWN_FIELDS:middle]), tuple(fields[middle:])
            yield OutboxRow(str(op), int(str(seq)), int(str(transaction_id)), str(captured_at), before, after)

    def _ledger(self, query: str, parameters: tuple[object, ...] = ()) -> list[LedgerBatch]:
        return [LedgerBatch(*row) for row in self._connection.execute(query, parameters)]

    def _value(self, query: str, parameters: tuple[object, ...] = ()) -> object:
        row = self._connection.execute(query, parameters).fetchone()
        return row[0] if row else None


_OPEN = "select batch_id, epoch, events, opened_at from pgevents.batch where state = 'open' order by batch_id"

_OVERDUE = """
select batch_id, epoch, events, opened_at
from pgevents.batch
where state = 'forwarded' and forwarded_at < clock_timestamp() - make_interval(secs => %s)
order by batch_id
"""
