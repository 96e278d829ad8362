"""A reader of a sink: sees rows become visible, and knows from each when it was written.

It asks often whether any transaction has begun or ended, which costs next to nothing, and looks at the rows
only then: it must not take the processor time of what it measures.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import sql

from bench.measure.watching import watching

_PAUSE_SECONDS = 0.004
_LATE_SECONDS = 0.25

_SNAPSHOT = "select pg_current_snapshot()::text"
_LATER = """
select entry_id, extract(epoch from stamped_at)::float8 from {table}
where stamped_at > to_timestamp(%s)
"""

_TABLES = """
select relname from pg_class
where relname = any (%s) and relkind = 'r' and pg_table_is_visible(oid)
"""


class Reader:
    """What a reader that polls one target has seen of its rows.

    `latencies` has the seconds from each row's moment to the end of the look that saw it first. A look reads
    what is later than a while before the newest row seen: what comes later than that is missed, and whoever
    counts finds it missing.
    """

    def __init__(self) -> None:
        self._since = time.time()
        self._newest = 0.0
        self._snapshot = ""
        self._seen: dict[int, float] = {}
        self.latencies: list[float] = []

    def look(self, sink: psycopg.Connection, query: sql.Composed) -> None:
        """Looks once, if anything may have changed since the last time."""
        # Asked before the rows are read: what commits in between is seen now, and looked for once more.
        row = sink.execute(_SNAPSHOT).fetchone()
        snapshot = str(row[0]) if row else ""
        if snapshot == self._snapshot:
            return
        self._snapshot = snapshot
        since = max(self._since, self._newest - _LATE_SECONDS)
        rows = sink.execute(query, (since,)).fetchall()
        self.note(rows, time.time())

    def note(self, rows: Sequence[tuple[int, float]], now: float) -> None:
        """Takes notice of what one look has seen: rows and when each was written."""
        for entry, stamped in rows:
            if self._seen.get(entry, 0.0) < stamped:
                self._seen[entry] = stamped
                self._newest = max(self._newest, stamped)
                self.latencies.append(now - stamped)


@contextmanager
def reading(dsn: str, table: str) -> Iterator[Reader]:
    """Polls one target for rows that it has not seen yet, for the length of a block."""
    query = sql.SQL(_LATER).format(table=sql.Identifier(table))
    reader = Reader()
    with (
        psycopg.connect(dsn, autocommit=True) as sink,
        watching(lambda: reader.look(sink, query), _PAUSE_SECONDS),
    ):
        yield reader


def index_stamps(dsn: str, table: str) -> None:
    """Lets readers of a target find its latest rows without reading all of them at each look."""
    with psycopg.connect(dsn, autocommit=True) as sink:
        # In Redshift a target is a view of the table that has its rows.
        for (name,) in sink.execute(_TABLES, ([table, f"{table}__versions"],)).fetchall():
            sink.execute(sql.SQL("create index on {} (stamped_at)").format(sql.Identifier(name)))


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent do not exceed; not a number when there is none."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))] if ranked else float("nan")


def last_stamp(connection: psycopg.Connection, table: str) -> float:
    """When the latest row that is visible now was written (Unix seconds)."""
    query = sql.SQL("select extract(epoch from max(stamped_at))::float8 from {}")
    row = connection.execute(query.format(sql.Identifier(table))).fetchone()
    return float(row[0]) if row and row[0] is not None else 0.0
