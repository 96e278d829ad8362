"""Changes of all kinds, committed by several writers as fast as the database takes them.

Each writer has keys of its own, so that none waits for another; what a statement does is one change a row.
"""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import psycopg

WRITERS = 6
_KEYS = 10_000
_BULK = 400
WIDE_BYTES = 100_000
VALUE_BYTES = 40_000_000

Workload = Callable[[str, int, int], int]
"""Commits at least so many changes, drawn from a seed, in the database of a DSN; returns how many."""


def mixed(dsn: str, changes: int, seed: int, rate: float = float("inf")) -> int:
    """Single rows and bulks, key changes, upserts, COPY, TRUNCATE, savepoints and rollbacks."""
    with ThreadPoolExecutor(WRITERS) as threads:
        share = -(-changes // WRITERS)
        work = partial(_mixed, dsn, share, seed, rate / WRITERS)
        return sum(threads.map(work, range(WRITERS)))


def wide(dsn: str, changes: int, seed: int) -> int:
    """Rows of 100 kB that hardly compress, 50 to a transaction; every fourth one is changed once."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        written = 0
        while written < changes:
            rows = min(50, changes - written)
            written += _rows(connection, _DOCUMENTS, (rows, seed, WIDE_BYTES))
            if written < changes:
                written += _rows(connection, _REWRITE_DOCUMENTS, (min(12, changes - written), WIDE_BYTES))
    return written


def transaction(dsn: str, changes: int, seed: int) -> int:
    """One transaction: a third inserts, a third updates of these rows, a third deletions and insertions."""
    third = -(-changes // 3)
    with psycopg.connect(dsn) as connection:
        written = _rows(connection, _INSERT_ENTRIES, (0, third, seed))
        written += _rows(connection, _UPDATE_ENTRIES, (0, third))
        written += _rows(connection, _DELETE_ENTRIES, (0, third // 2))
        return written + _rows(connection, _INSERT_ENTRIES, (third + 1, 2 * third - third // 2, seed))


def value(dsn: str, changes: int, seed: int) -> int:
    """Values of 40 MB, one row each."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return sum(_rows(connection, _BLOB, (seed + number, VALUE_BYTES)) for number in range(changes))


WORKLOADS: dict[str, tuple[Workload, int]] = {
    "mixed": (mixed, 1_000_000),
    "wide": (wide, 2_000),
    "transaction": (transaction, 300_000),
    "value": (value, 1),
}
"""By name, each with the number of changes that it is made for."""


def _rows(connection: psycopg.Connection, statement: str, parameters: tuple[object, ...] = ()) -> int:
    return connection.execute(statement.encode(), parameters or None).rowcount


def _mixed(dsn: str, changes: int, seed: int, rate: float, number: int) -> int:
    with psycopg.connect(dsn, autocommit=True) as connection:
        writer = _Writer(connection, number, random.Random(seed * 1_000 + number))
        began = time.monotonic()
        while writer.committed < changes:
            writer.transaction()
            time.sleep(max(0.0, began + writer.committed / rate - time.monotonic()))
        return writer.committed


class _RollBackError(Exception):
    """Raised inside a transaction to end it."""


class _Writer:
    def __init__(self, connection: psycopg.Connection, number: int, draw: random.Random) -> None:
        self._connection = connection
        self._first = number * 1_000_000_000
        self._number = number
        self._next_scratch = self._first
        self._draw = draw
        self.committed = 0
        self._kinds: list[tuple[Callable[[], int], int]] = [
            (self._upsert_one, 30),
            (self._upsert_many, 25),
            (self._update_range, 20),
            (self._delete_range, 10),
            (self._change_keys, 5),
            (self._wide, 25),
            (self._copy, 5),
            (self._scratch, 6),
        ]

    def transaction(self) -> None:
        """One to three statements; one transaction in thirty is rolled back, one statement in ten."""
        changes = 0
        try:
            with self._connection.transaction():
                for _ in range(self._draw.randint(1, 3)):
                    with self._savepoint() as kept:
                        written = self._draw.choices(*zip(*self._kinds, strict=True))[0]()
                    changes += written if kept else 0
                if self._draw.random() < 0.03:
                    raise _RollBackError
        except _RollBackError:
            return
        self.committed += changes

    @contextmanager
    def _savepoint(self) -> Iterator[bool]:
        undone = self._draw.random() < 0.1
        with self._connection.transaction(force_rollback=undone):
            yield not undone

    def _key(self) -> int:
        return self._first + self._draw.randrange(_KEYS)

    def _upsert_one(self) -> int:
        return _rows(self._connection, _UPSERT_ENTRIES, (self._key(), 1))

    def _upsert_many(self) -> int:
        return _rows(self._connection, _UPSERT_ENTRIES, (self._key(), self._draw.randint(2, _BULK)))

    def _update_range(self) -> int:
        return _rows(self._connection, _UPDATE_ENTRIES, (self._key(), self._draw.randint(1, _BULK)))

    def _delete_range(self) -> int:
        return _rows(self._connection, _DELETE_ENTRIES, (self._key(), self._draw.randint(1, _BULK // 2)))

    def _change_keys(self) -> int:
        return _rows(self._connection, _CHANGE_KEYS, (_KEYS, self._key(), self._draw.randint(1, 20)))

    def _wide(self) -> int:
        first, rows = self._draw.randrange(3_000), self._draw.randint(1, 200)
        return _rows(self._connection, _UPSERT_WIDE, (self._number, first, rows))

    def _copy(self) -> int:
        rows = self._draw.randint(1, _BULK)
        with self._connection.cursor() as cursor, cursor.copy("copy scratch from stdin") as copy:
            for _ in range(rows):
                self._next_scratch += 1
                copy.write_row((self._next_scratch, "copied\tin\n"))
        return rows

    def _scratch(self) -> int:
        if self._number == 0 and self._draw.random() < 0.05:
            self._connection.execute("truncate scratch")
            return 1
        statement = "delete from scratch where scratch_id between %s and %s"
        return _rows(self._connection, statement, (self._first, self._first + self._draw.randint(1, 5_000)))


_INSERT_ENTRIES = """
insert into entry (entry_id, amount, note, tags, extra)
select %s + g, g / 7.0, 'entry ' || md5(g::text), array['a', g::text], jsonb_build_object('g', g)
from generate_series(1, %s) as g where %s is not null
"""

_UPSERT_ENTRIES = """
insert into entry (entry_id, amount, note, tags, extra)
select %s + g, g / 7.0, 'line one' || chr(10) || md5(g::text), array['a', g::text, null],
    jsonb_build_object('g', g, 'text', repeat('x', (g %% 50)::integer))
from generate_series(1, %s) as g
on conflict (entry_id) do update set amount = entry.amount + 1, note = excluded.note
"""

_UPDATE_ENTRIES = """
update entry set amount = amount * 1.5, made_at = clock_timestamp()
from (select %s::bigint as first, %s::bigint as rows) as of
where entry_id between of.first + 1 and of.first + of.rows and amount < 1000000
"""

_DELETE_ENTRIES = """
delete from entry using (select %s::bigint as first, %s::bigint as rows) as of
where entry_id between of.first + 1 and of.first + of.rows
"""

_CHANGE_KEYS = """
update entry set entry_id = entry_id + 500000000
from (select %s::bigint as keys, %s::bigint as first, %s::bigint as rows) as of
where entry_id between of.first and of.first + of.rows
    and not exists (select from entry as taken where taken.entry_id = entry.entry_id + 500000000)
"""

_UPSERT_WIDE = """
insert into wide
select %s, 'k' || g, g %% 2 = 0, g %% 30000, g, g / 3.0::real, g / 3.0, gen_random_uuid(),
    '2020-01-01'::date + g::int, decode(md5(g::text), 'hex'), make_interval(secs => g)
from (select %s + generate_series(1, %s)::bigint as g)
on conflict (k1, k2) do update set c_uuid = excluded.c_uuid, c_bool = not wide.c_bool
"""

_DOCUMENTS = """
insert into document
select (select coalesce(max(document_id), 0) from document) + g, half.body, reverse(half.body)
from (select %s::integer as rows, %s::integer as seed, %s::integer as bytes) as of
cross join lateral generate_series(1, of.rows) as g
cross join lateral (
    select string_agg(md5(g::text || of.seed || n), '') as body
    from generate_series(1, of.bytes / 64) as n
) as half
"""

_BLOB = """
insert into blob
select (select coalesce(max(blob_id), 0) from blob) + 1, (
    select string_agg(md5(of.seed::text || n), '') from generate_series(1, of.bytes / 32) as n
)
from (select %s::integer as seed, %s::integer as bytes) as of
"""

_REWRITE_DOCUMENTS = """
update document set body = head, head = body
where document_id in (select document_id from document order by document_id desc limit %s) and %s > 0
"""
