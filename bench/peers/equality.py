"""Whether a target's table equals its source's, asked so that asking costs the replication little."""

import time

import psycopg

from bench.peers.peer import Replicator
from local.programs import ProgramFailed

_LONGEST_SECONDS = 180.0
_PAUSE_SECONDS = 0.02

_MARK = "update {table} set logins = logins + 1 where account_id = 1 returning logins"
_MARKED = "select logins from {table} where account_id = 1"
_COLUMNS = """
select string_agg(quote_ident(attname), ', ' order by attnum)
from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped
"""
_CONTENT = "select count(*), sum(hashtextextended(row({columns})::text, 0)::numeric) from {table}"


class Equality:
    """Marks the end of what has been written so far, and waits for it. Nobody writes meanwhile."""

    def __init__(self, peer: Replicator, table: str) -> None:
        self._target = peer.target
        self._name = peer.name
        with peer.source.connect() as source:
            columns = source.execute(_COLUMNS, (table,)).fetchall()[0][0]
            self._mark = source.execute(_MARK.format(table=table).encode()).fetchall()
            self._content = _CONTENT.format(columns=columns, table=table).encode()
            self._wanted = source.execute(self._content).fetchall()
        self._marked = _MARKED.format(table=table).encode()

    def wait(self) -> float:
        """The moment at which the target held all of it, of time.monotonic().

        Looks for the mark first, which is one row, and at the whole table once the mark is there. Raises
        ProgramFailed when they differ for three minutes.
        """
        deadline = time.monotonic() + _LONGEST_SECONDS
        with self._target.connect() as target:
            while True:
                arrived = self._has_mark(target)
                now = time.monotonic()
                if arrived and target.execute(self._content).fetchall() == self._wanted:
                    return now
                if now > deadline:
                    raise ProgramFailed(f"{self._name}: the tables differed for {_LONGEST_SECONDS:g} s")
                time.sleep(_PAUSE_SECONDS)

    def _has_mark(self, target: psycopg.Connection) -> bool:
        try:
            return target.execute(self._marked).fetchall() == self._mark
        except psycopg.errors.UndefinedTable:
            return False
