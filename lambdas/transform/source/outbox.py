"""A source database as the drain sees it: its lock, what waits in its outbox, its ledger and dead letters."""

import time

import psycopg

from pgevents.config import BATCH_BYTES
from transform.source.batch_reader import BatchReader
from transform.source.captured import Dead, LedgerBatch, OutboxRow, TableRows
from transform.source.dead_letters import DeadLetters
from transform.source.epochs import Epochs
from transform.source.last_look import LastLook
from transform.source.ledger import SHARD_LOCKS, Ledger
from transform.source.session import translated
from transform.source.snapshots import Snapshots

__all__ = ["Dead", "LedgerBatch", "Outbox", "OutboxRow", "TableRows", "translated"]

_DRAIN_LOCK = (1885828470, 0)
# A writer that is about to commit holds the lock for a moment, to find out whether a drain does.
_LOCK_PAUSES_SECONDS = (0.002, 0.01)
# Every look reads the half that is written to: the smaller that is, the less a look costs the source.
_HALF_FULL_BYTES = 2 * 1024 * 1024
_ROTATE_SECONDS = 1.0


class Outbox(BatchReader, Ledger, DeadLetters, LastLook, Epochs, Snapshots):
    """Everything of one source, over one connection in autocommit mode."""

    def __init__(self, source: str, connection: psycopg.Connection) -> None:
        super().__init__(source, connection)
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

    def try_shard_lock(self, shard: int) -> bool:
        """Takes the lock of a shard other than 0, if nobody holds it. It ends with the session too."""
        return bool(self._value("select pg_try_advisory_lock(%s, %s)", (SHARD_LOCKS, shard)))

    def unlock_shard(self, shard: int) -> None:
        """Lets go of a shard's lock."""
        self._value("select pg_advisory_unlock(%s, %s)", (SHARD_LOCKS, shard))

    def open_batches(self, batch_events: int, batch_bytes: int = BATCH_BYTES, most_shards: int = 1) -> int:
        """Turns what has committed since the last look into batches; how many there are.

        A batch has at most so many events and about so many bytes; a heavier event is a batch by itself. What
        makes more than one is split into so many shards.
        """
        if time.monotonic() > self._rotated_at + _ROTATE_SECONDS:
            # A drain that always finds more never ends, and the outbox would grow as long as it goes on.
            self.rotate()
        return self._count(
            "select pgevents.open_batches(%s, %s, %s)", (batch_events, batch_bytes, most_shards)
        )

    def has_events(self) -> bool:
        """Whether something has committed that is in no batch yet."""
        return bool(self._value("select pgevents.has_events()"))

    def rotate(self) -> None:
        """Gives back the space of applied events, where that is possible without waiting."""
        self._rotated_at = time.monotonic()
        self._connection.execute("select pgevents.rotate_outbox(%s)", (_HALF_FULL_BYTES,))
