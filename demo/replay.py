"""Replays the history of the root store as ordinary SQL on the two source databases.

Each release is a transaction in each database. As applications do, some transactions try something inside a
savepoint and take it back, and some releases are rehearsed in a transaction of their own that is rolled back.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from psycopg import Connection, sql

from demo import history, statements
from demo.history import State
from demo.root_store import RootStore
from demo.statements import Statement, Table
from pgevents.errors import InputError, TransientError

ACCOUNT = Table("accounts", "public", "account", key="operator_id")
CERTIFICATE = Table("certificates", "public", "certificate", key="fingerprint")
EXPIRY_WATCH = Table("certificates", "public", "expiry_watch", key="fingerprint")
TABLES = (ACCOUNT, CERTIFICATE, EXPIRY_WATCH)

SAVEPOINT_EVERY = 3
REHEARSAL_EVERY = 5

EventCounts = Counter[tuple[str, str]]
"""(`database.schema.table`, event type) → how many."""


class Step(msgspec.Struct, frozen=True):
    """A release that has been committed in both databases: the `number`th of `total`."""

    number: int
    total: int
    version: str
    released_at: datetime
    events: int


class Replay:
    """The history on its way into the source databases.

    `committed` counts the change events that must come out of them, `rolled_back` those that must not:
    by PostgreSQL's own row counts, as the statements ran.
    """

    def __init__(self, store: RootStore, sources: Mapping[str, str]) -> None:
        """`sources` maps `accounts` and `certificates` to their connection strings."""
        self.committed: EventCounts = Counter()
        self.rolled_back: EventCounts = Counter()
        self.transactions = 0
        self._store = store
        self._sources = sources

    def run(self) -> Iterator[Step]:
        """Replays release by release.

        Raises InputError when the databases are not fresh, TransientError when one of them fails.
        """
        with ExitStack() as stack:
            try:
                connections = {name: self._connect(stack, name) for name in ("accounts", "certificates")}
                for table in TABLES:
                    _require_empty(connections[table.source], table)
                yield from self._releases(connections)
            except psycopg.Error as error:
                raise TransientError(f"the replay stopped: {str(error).strip()}") from error

    def _connect(self, stack: ExitStack, name: str) -> Connection[Any]:
        if name not in self._sources:
            raise InputError(f"there is no source database {name!r}; the demo needs it in pipeline.toml")
        return stack.enter_context(psycopg.connect(self._sources[name], autocommit=True))

    def _releases(self, connections: Mapping[str, Connection[Any]]) -> Iterator[Step]:
        before = history.EMPTY
        total = len(self._store.releases)
        for number, (release, now) in enumerate(history.states(self._store), start=1):
            events_before = self.committed.total()
            for source, changes in (("accounts", _of_accounts), ("certificates", _of_certificates)):
                planned = list(changes(before, now))
                if number % REHEARSAL_EVERY == 0:
                    self._roll_back(connections[source], planned)
                trial = list(_TRIALS[source](before)) if number % SAVEPOINT_EVERY == 0 else []
                self._commit(connections[source], planned, trial)
            before = now
            events = self.committed.total() - events_before
            yield Step(number, total, release.version, release.released_at, events)

    def _commit(self, connection: Connection[Any], planned: list[Statement], trial: list[Statement]) -> None:
        if not planned:
            return
        with connection.transaction():
            if trial:
                self._roll_back(connection, trial)
            for statement in planned:
                statement.run(connection)
        self.transactions += 1
        self.committed += _counted(planned)

    def _roll_back(self, connection: Connection[Any], taken_back: list[Statement]) -> None:
        """In a transaction of its own, or in a savepoint when there is a transaction already."""
        with connection.transaction(force_rollback=True):
            for statement in taken_back:
                statement.run(connection)
        self.rolled_back += _counted(taken_back)


def _of_accounts(before: State, now: State) -> Iterator[Statement]:
    yield from statements.of_changes(ACCOUNT, history.changes(before.accounts, now.accounts))


def _of_certificates(before: State, now: State) -> Iterator[Statement]:
    yield from statements.of_changes(CERTIFICATE, history.changes(before.certificates, now.certificates))
    yield statements.truncate(EXPIRY_WATCH)
    if now.expiry_watch:
        yield statements.insert(EXPIRY_WATCH, now.expiry_watch)


def _try_without_inactive(state: State) -> Iterator[Statement]:
    inactive = sum(not account.active for account in state.accounts.values())
    yield statements.delete_where(ACCOUNT, sql.SQL("not active"), inactive)


def _try_without_removed(state: State) -> Iterator[Statement]:
    removed = sum(row.lifecycle == "removed" for row in state.certificates.values())
    yield statements.delete_where(CERTIFICATE, sql.SQL("lifecycle = 'removed'"), removed)
    yield statements.truncate(EXPIRY_WATCH)


_TRIALS = {"accounts": _try_without_inactive, "certificates": _try_without_removed}


def _counted(ran: list[Statement]) -> EventCounts:
    counts: EventCounts = Counter()
    for statement in ran:
        counts[statement.table.full_name, statement.event_type] += statement.events
    return counts


def _require_empty(connection: Connection[Any], table: Table) -> None:
    query = sql.SQL("select exists (select from {})").format(table.identifier)
    row = connection.execute(query).fetchone()
    if row is None or row[0]:
        raise InputError(f"{table.full_name} already holds rows; the demo replays into a fresh state folder")
