"""The PostgreSQL sink: builds and runs the statements that bring a target database to a batch.

One batch is one transaction of the target, opened by the batch's token. Whoever brings the same batch again
finds the token and does nothing; whoever brings it at the same moment waits on the token's key and then does
nothing. Beneath that, every statement is guarded by version (postgres_merge), so that batches may also come
late, twice under other numbers, or in any order.

Nothing here depends on a session's settings, so nothing is SET and a proxy can share the connection.
docs/adr/0007-postgresql-sink.md says why.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from pgevents.batch import Batch, TableChanges
from pgevents.errors import TransientError
from pgevents.identity import BatchIdentity, SourceReplaced
from pgevents.refusals import Refusal, RefusedChanges, incomplete_keys
from transform.sinks.postgres_errors import RefusedValues, driver_errors
from transform.sinks.postgres_merge import Merge
from transform.sinks.postgres_refusals import find_refused
from transform.sinks.postgres_tables import Cursor, Tables, quoted

MOST_REFUSALS = 100  # named in one error; the next attempt names the next ones

FIND_BOOKKEEPING = """
select
    exists (select from pg_catalog.pg_namespace where nspname = %(schema)s),
    (
        select count(*) = 2 from pg_catalog.pg_class as tables
        join pg_catalog.pg_namespace as schemas on schemas.oid = tables.relnamespace
        where
            schemas.nspname = %(schema)s
            and tables.relname in ('pgevents_applied_batch', 'pgevents_target')
    )
"""

BATCHES = """
create table if not exists {batches} (
    source text not null,
    epoch bigint not null,
    batch_id bigint not null,
    opened_at timestamp with time zone not null,
    applied_at timestamp with time zone not null default now(),
    changes bigint not null,
    primary key (source, epoch, batch_id)
)
"""

TARGETS = """
create table if not exists {targets} (
    target text not null primary key,
    truncated bigint not null
)
"""

CLAIM = """
insert into {batches} (source, epoch, batch_id, opened_at, changes)
values (%s, %s, %s, %s, %s)
on conflict (source, epoch, batch_id) do nothing
"""

FIND_BATCH = "select opened_at from {batches} where source = %s and epoch = %s and batch_id = %s"

NEWEST_BATCH = """
select epoch, batch_id, opened_at from {batches} where source = %s order by epoch desc, batch_id desc limit 1
"""

# Transaction-level: let go at commit, and of no concern to a proxy.
LOCK = "select pg_advisory_xact_lock(name) from unnest(%b::bigint[]) as locks (name)"

Write = Callable[[Cursor, Merge, TableChanges], int]


class Applied(msgspec.Struct, frozen=True):
    """What applying a batch came to.

    `rows` counts the rows that were inserted, replaced or deleted, history included; changes that newer ones
    had overtaken are not in it. `already` says that the batch had been applied before and nothing was done.
    """

    already: bool
    rows: int


class PostgresSink:
    """Writes batches into one schema of one target database.

    The connection belongs to the caller, must be idle, and is used by nobody else meanwhile. A schema belongs
    to one sink: two sinks in one schema would take each other's tokens for their own. `name` is the sink's in
    pipeline.toml, for messages.
    """

    def __init__(self, connection: psycopg.Connection[Any], schema: str, name: str = "") -> None:
        # Each statement must see what the target's last lock holder committed.
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        connection.prepare_threshold = None  # a named prepared statement pins a proxy's connection
        self._connection = connection
        self._schema = schema
        self._name = name or schema
        self._batches = quoted(schema, "pgevents_applied_batch")
        self._targets = quoted(schema, "pgevents_target")
        self._tables = Tables(schema)
        self._claimed = sql.SQL(CLAIM).format(batches=self._batches).as_bytes(None)
        self._has_bookkeeping = False

    def apply(self, batch: Batch) -> Applied:
        """Bring the target database to this batch (what is routed to this sink of it), whole or not at all.

        Raises RefusedChanges (a TerminalError) that names the changes which the target can never take,
        SourceReplaced when the target holds another batch under this one's number, and TransientError for
        everything that may go better later, with what a person should do if it will not.
        """
        incomplete = [found for table in batch.tables for found in incomplete_keys(table)]
        if incomplete:
            raise RefusedChanges(incomplete[:MOST_REFUSALS])
        try:
            return self._apply(batch)
        except RefusedValues as error:
            refused = self._find_refused(batch)
            if not refused:
                message = f"the target refused batch {batch.batch_id} and then took it: {error}"
                raise TransientError(message) from error
            raise RefusedChanges(refused) from error

    def newest(self, source: str) -> BatchIdentity | None:
        """The newest batch of a source that the target holds. Raises TransientError."""
        statement = sql.SQL(NEWEST_BATCH).format(batches=self._batches)
        with driver_errors(f"read schema {self._schema}"):
            try:
                row = self._connection.execute(statement, [source]).fetchone()
            except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                return None
        return BatchIdentity(*row) if row else None

    def _apply(self, batch: Batch) -> Applied:
        cut: list[Refusal] = []

        def write(cursor: Cursor, merge: Merge, table: TableChanges) -> int:
            cut.extend(merge.cuts(cursor, table.changes))
            return 0 if cut else merge.write(cursor, table.changes)

        with self._transaction() as cursor:
            if not self._claim(cursor, batch):
                return Applied(already=True, rows=0)
            rows = self._write(cursor, batch, write)
            if cut:
                raise RefusedChanges(cut[:MOST_REFUSALS])
        return Applied(already=False, rows=rows)

    def _find_refused(self, batch: Batch) -> list[Refusal]:
        refused: list[Refusal] = []

        def write(cursor: Cursor, merge: Merge, table: TableChanges) -> int:
            refused.extend(find_refused(cursor, merge, table.changes, MOST_REFUSALS - len(refused)))
            return 0

        with self._transaction(undone=True) as cursor:
            self._write(cursor, batch, write)
        return refused

    @contextmanager
    def _transaction(self, *, undone: bool = False) -> Iterator[Cursor]:
        committed = False
        try:
            with (
                driver_errors(f"write schema {self._schema}"),
                self._connection.transaction(force_rollback=undone),
                self._connection.cursor(row_factory=tuple_row) as cursor,
            ):
                self._keep_books(cursor)
                yield cursor
            committed = not undone
        finally:
            if not committed:  # tables that were seen may never have come to be
                self._has_bookkeeping = False
                self._tables.forget()

    def _keep_books(self, cursor: Cursor) -> None:
        if self._has_bookkeeping:
            return
        found = cursor.execute(FIND_BOOKKEEPING, {"schema": self._schema}).fetchone()
        has_schema, has_tables = found or (False, False)
        if not has_tables:
            cursor.execute(LOCK, [[_lock_name(self._schema, "")]])
            if not has_schema:
                cursor.execute(sql.SQL("create schema if not exists {}").format(quoted(self._schema)), [])
            for statement in (BATCHES, TARGETS):
                cursor.execute(sql.SQL(statement).format(batches=self._batches, targets=self._targets), [])
        self._has_bookkeeping = True

    def _claim(self, cursor: Cursor, batch: Batch) -> bool:
        """Put down the batch's token; False when it had been put down before. Raises SourceReplaced."""
        token = [batch.source, batch.epoch, batch.batch_id, batch.opened_at, batch.change_count()]
        if cursor.execute(self._claimed, token).rowcount == 1:
            return True
        # A statement of its own: it sees the token of a transaction that the first one waited for.
        row = cursor.execute(sql.SQL(FIND_BATCH).format(batches=self._batches), token[:3]).fetchone()
        if row is not None and isinstance(row[0], datetime):
            found = BatchIdentity(batch.epoch, batch.batch_id, row[0])
            if found.contradicts(batch.identity()):
                raise SourceReplaced(self._name, batch.source, batch.batch_id, found)
        return False

    def _write(self, cursor: Cursor, batch: Batch, write: Write) -> int:
        # One order for all, so that two batches cannot each hold what the other waits for.
        names = sorted({_lock_name(self._schema, table.target) for table in batch.tables})
        cursor.execute(LOCK, [names])
        with driver_errors(f"make the tables of schema {self._schema}"):
            self._tables.fit(cursor, batch.tables)
        rows = 0
        for table in batch.tables:
            merge = Merge(table, self._schema, self._targets, self._tables)
            with driver_errors(f"write {self._schema}.{table.target}", merge.names):
                rows += write(cursor, merge, table)
        return rows


def _lock_name(schema: str, target: str) -> int:
    """The number of a target's lock: the same in every process, and hardly anybody else's."""
    name = f"pgevents sink\0{schema}\0{target}".encode()
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "big", signed=True)
