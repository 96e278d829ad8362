"""Seeded traffic of real SQL: concurrent writers on a few tables, with rollbacks and savepoints among their
work.

Each writer keeps its own record of the changes that committed. The tables themselves, once the writers have
ended, are the record of what must have arrived.
"""

import random
import threading
from collections.abc import Callable

import msgspec
import psycopg

TABLES = """
create table public.ledger_entry (
    entry_id integer primary key, amount numeric(20, 4) not null, note text, tags text[], extra jsonb,
    made_at timestamptz not null default clock_timestamp()
);
create table public.wide (
    k1 integer, k2 text, c_bool boolean, c_small smallint, c_big bigint, c_real real, c_double double
    precision, c_uuid uuid, c_date date, c_bytea bytea, c_interval interval, primary key (k1, k2)
);
"""
_KEYS = 400
_BULK_ROWS = 60


class Committed(msgspec.Struct):
    """How many row changes one writer committed, and how many it rolled back."""

    changes: int = 0
    rolled_back: int = 0


def write(dsn: str, seed: int, changes: int) -> Committed:
    """Writes until so many row changes have committed."""
    with psycopg.connect(dsn, autocommit=True, application_name=f"traffic {seed}") as connection:
        writer = Writer(connection, seed)
        while writer.committed.changes < changes:
            writer.transaction()
    return writer.committed


def write_concurrently(dsn: str, writers: int, changes: int, seed: int) -> Committed:
    """The same from several sessions at once; each writes its share. Raises what a writer raised."""
    results: list[Committed | BaseException] = []

    def one(number: int) -> None:
        try:
            results.append(write(dsn, seed * 1000 + number, changes // writers))
        except BaseException as error:
            results.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = Committed()
    for result in results:
        if isinstance(result, BaseException):
            raise result
        total.changes += result.changes
        total.rolled_back += result.rolled_back
    return total


class _RollBackError(Exception):
    """Raised inside a transaction to end it."""


class Writer:
    """One session that writes."""

    def __init__(self, connection: psycopg.Connection, seed: int) -> None:
        self._random = random.Random(seed)
        self._connection = connection
        # Writers meet on the same rows on purpose; a deadlock is resolved at once.
        self._connection.execute("set deadlock_timeout = '10ms'")
        self.committed = Committed()
        self._operations: list[tuple[Callable[[], int], int]] = [
            (self._upsert, 30),
            (self._update_range, 20),
            (self._change_key, 5),
            (self._delete, 15),
            (self._bulk_insert, 8),
            (self._wide_upsert, 15),
            (self._wide_delete, 6),
            (self._copy, 3),
        ]

    def transaction(self) -> None:
        """One transaction of a few statements, some of them in savepoints; now and then all of it is rolled
        back."""
        changes = 0
        try:
            with self._connection.transaction():
                for _ in range(self._random.randint(1, 4)):
                    changes += self._statement()
                if self._random.random() < 0.08:
                    raise _RollBackError
        except (_RollBackError, psycopg.errors.DeadlockDetected, psycopg.errors.UniqueViolation):
            self.committed.rolled_back += changes
        else:
            self.committed.changes += changes

    def _statement(self) -> int:
        operation = self._random.choices(*zip(*self._operations, strict=True))[0]
        roll_back = self._random.random() < 0.1
        with self._connection.transaction(force_rollback=roll_back):
            changes = int(operation())
        if roll_back:
            self.committed.rolled_back += changes
        return 0 if roll_back else changes

    def _key(self) -> int:
        return self._random.randint(1, _KEYS)

    def _execute(self, query: str, *parameters: object) -> int:
        return self._connection.execute(query, parameters).rowcount  # type: ignore[arg-type]

    def _upsert(self) -> int:
        return self._execute(
            "insert into ledger_entry (entry_id, amount, note, tags, extra) values (%s, %s, %s, %s, %s)"
            " on conflict (entry_id) do update set amount = ledger_entry.amount + 1, note = excluded.note",
            self._key(), self._random.randint(-10**12, 10**12), self._text(), [self._text(), None],
            psycopg.types.json.Jsonb({"n": self._random.random(), "text": self._text()}),
        )  # fmt: skip

    def _update_range(self) -> int:
        key = self._key()
        return self._execute(
            "update ledger_entry set amount = amount * 1.0001, made_at = clock_timestamp()"
            " where entry_id between %s and %s",
            key, key + 9,
        )  # fmt: skip

    def _change_key(self) -> int:
        return self._execute(
            "update ledger_entry set entry_id = %s where entry_id = %s",
            _KEYS + self._random.randint(1, 10**6),
            self._key(),
        )

    def _delete(self) -> int:
        return self._execute("delete from ledger_entry where entry_id = %s", self._key())

    def _bulk_insert(self) -> int:
        start = self._random.randint(10**6, 10**9)
        return self._execute(
            "insert into ledger_entry (entry_id, amount, note) select g, g / 7.0, 'bulk ' || g"
            " from generate_series(%s::integer, %s) as g on conflict do nothing",
            start, start + self._random.randint(1, _BULK_ROWS),
        )  # fmt: skip

    def _wide_upsert(self) -> int:
        return self._execute(
            "insert into wide values (%s, %s, %s, %s, %s, %s, %s,"
            " gen_random_uuid(), current_date - %s::integer, %s, make_interval(secs => %s))"
            " on conflict (k1, k2) do update set c_big = wide.c_big - 1, c_bytea = null",
            self._key(), self._random.choice("abc"), self._random.choice([True, False, None]),
            self._random.randint(-(2**15), 2**15 - 1), self._random.randint(1 - 2**63, 2**63 - 1),
            self._random.random(),
            self._random.gauss(0, 1e200), self._random.randint(0, 99_999), self._random.randbytes(20),
            self._key(),
        )  # fmt: skip

    def _wide_delete(self) -> int:
        return self._execute("delete from wide where k1 = %s", self._key())

    def _copy(self) -> int:
        start = self._random.randint(10**9, 2 * 10**9)
        rows = [
            (start + number, "1.5", self._text()) for number in range(self._random.randint(1, _BULK_ROWS))
        ]
        with (
            self._connection.cursor() as cursor,
            cursor.copy("copy ledger_entry (entry_id, amount, note) from stdin") as copy,
        ):
            for row in rows:
                copy.write_row(row)
        return len(rows)

    def _text(self) -> str:
        return self._random.choice(
            ["plain", "tab\tand\nline", "back\\slash", "'quoted' \"twice\"", "żółć 🚀", "\\N", ""]
        )
