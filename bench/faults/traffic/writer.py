"""One writer: carries out its transactions, and finds out what became of each."""

import time
from collections import Counter
from threading import Event
from typing import Any, Literal

import msgspec
import psycopg

from bench.faults.traffic.prepared import prepared_name
from bench.faults.traffic.script import Transaction, transactions
from bench.faults.traffic.session import ConnectionCut, Session
from bench.faults.traffic.steps import Block, Copy, Statement, Step

Outcome = Literal["committed", "rolled back", "prepared"]

_LOOK_SECONDS = 0.05
_OURS = ("pgevents", "aws_lambda")
_WRITES = ("INSERT", "UPDATE", "DELETE", "MERGE", "COPY")


class Written(msgspec.Struct):
    """What one writer knows of its own transactions.

    `changes` counts the rows that it was told of (those of cascades and triggers are not among them).
    `looked_up`
    are the commits whose answer was lost. `refusals` counts errors by SQLSTATE; `capture_failures` are those
    that came
    out of capture, which must never be. `slowest_commit_seconds` is the longest that a COMMIT took.
    """

    committed: set[str] = msgspec.field(default_factory=set)
    rolled_back: set[str] = msgspec.field(default_factory=set)
    prepared: set[str] = msgspec.field(default_factory=set)
    changes: int = 0
    looked_up: int = 0
    cut: int = 0
    refusals: Counter[str] = msgspec.field(default_factory=Counter)
    capture_failures: list[str] = msgspec.field(default_factory=list)
    slowest_commit_seconds: float = 0.0


class Writer:
    """Writes the transactions of one writer of one seed into one source."""

    def __init__(self, session: Session, seed: int, number: int) -> None:
        self.written = Written()
        self._session = session
        self._seed = seed
        self._number = number
        self._changes = 0

    def write(self, changes: int, stop: Event, pause_seconds: float, huge_every: int, huge_rows: int) -> None:
        """Writes until so many row changes have committed, or it is told to stop.

        Raises SourceGone when the source did not come back.
        """
        try:
            for transaction in transactions(self._seed, self._number, huge_every, huge_rows):
                if self.written.changes >= changes or stop.is_set():
                    break
                self.carry_out(transaction)
                if pause_seconds:
                    stop.wait(pause_seconds)
        finally:
            self._session.close()

    def carry_out(self, transaction: Transaction) -> Outcome:
        """Runs one transaction to its end; what became of it, looked up where its answer was lost."""
        self._changes = 0
        outcome = self._outcome(transaction)
        known = {
            "committed": self.written.committed,
            "rolled back": self.written.rolled_back,
            "prepared": self.written.prepared,
        }
        known[outcome].add(transaction.name)
        if outcome == "committed" or (outcome == "prepared" and transaction.ending == "prepare, commit"):
            self.written.changes += self._changes
        return outcome

    def _outcome(self, transaction: Transaction) -> Outcome:
        try:
            xid = self._begin(transaction)
            self._steps(transaction.steps)
            if transaction.ending == "roll back":
                self._session.execute("rollback")
                return "rolled back"
        except ConnectionCut:
            self.written.cut += 1
            return "rolled back"
        except psycopg.Error as refusal:
            return self._give_up(refusal)
        return self._end(transaction, xid)

    def _begin(self, transaction: Transaction) -> str:
        self._session.execute(f"begin isolation level {transaction.isolation}")
        if transaction.replica:
            self._session.execute("set local session_replication_role = replica")
        self._session.execute("select set_config('traffic.tx', %s, true)", transaction.name)
        row = self._session.execute(
            "insert into journal (tx, writer, number, note) values (%s, %s, %s, %s)"
            " returning pg_current_xact_id()::text",
            transaction.name, transaction.writer, transaction.number, transaction.ending,
        ).fetchone()  # fmt: skip
        self._changes += 1
        return str(row[0]) if row else ""

    def _end(self, transaction: Transaction, xid: str) -> Outcome:
        prepares = transaction.ending.startswith("prepare")
        name = prepared_name(self._seed, transaction)
        began = time.monotonic()
        try:
            self._session.execute(f"prepare transaction '{name}'" if prepares else "commit")
        except ConnectionCut:
            return self._look_up(transaction, xid)
        except psycopg.Error as refusal:
            return self._give_up(refusal)
        finally:
            seconds = time.monotonic() - began
            self.written.slowest_commit_seconds = max(self.written.slowest_commit_seconds, seconds)
        return "prepared" if prepares else "committed"

    def _look_up(self, transaction: Transaction, xid: str) -> Outcome:
        """What became of a transaction whose last answer was lost, once its server process is done with
        it.
        """
        self.written.looked_up += 1
        name = prepared_name(self._seed, transaction)
        while self._still_runs(xid, name):
            time.sleep(_LOOK_SECONDS)
        # In this order: it may be finished meanwhile.
        if self._session.ask("select exists (select from pg_prepared_xacts where gid = %s)", name):
            return "prepared"
        if self._session.ask("select exists (select from public.journal where tx = %s)", transaction.name):
            return "prepared" if transaction.ending.startswith("prepare") else "committed"
        # One that was prepared and then rolled back cannot be told from one that never was, nor need it be.
        return "rolled back"

    def _still_runs(self, xid: str, name: str) -> bool:
        try:
            return bool(self._session.ask(_STILL_RUNS, name, xid))
        except psycopg.errors.InvalidParameterValue:
            return False  # lost in a crash, its number too: that one lies in the future now

    def _steps(self, steps: list[Step]) -> None:
        for step in steps:
            if isinstance(step, Block):
                self._block(step)
            else:
                self._step(step)

    def _block(self, block: Block) -> None:
        """A refusal within it undoes the block, and the transaction goes on."""
        before = self._changes
        self._session.execute("savepoint block")
        undone = block.undone
        try:
            self._steps(block.steps)
        except psycopg.Error as refusal:
            self._note(refusal)
            undone = True
        if undone:
            self._session.execute("rollback to savepoint block")
            self._changes = before
        self._session.execute("release savepoint block")

    def _step(self, step: Statement | Copy) -> None:
        if isinstance(step, Copy):
            self._session.run(lambda connection: _copy(connection, step))
            self._changes += len(step.rows)
            return
        cursor = self._session.execute(step.sql, *step.parameters)
        while True:
            if (cursor.statusmessage or "").startswith(_WRITES) and cursor.rowcount > 0:
                self._changes += cursor.rowcount
            if not cursor.nextset():
                break

    def _give_up(self, refusal: psycopg.Error) -> Outcome:
        self._note(refusal)
        try:
            self._session.execute("rollback")
        except ConnectionCut:
            self.written.cut += 1
        return "rolled back"

    def _note(self, refusal: psycopg.Error) -> None:
        self.written.refusals[refusal.sqlstate or type(refusal).__name__] += 1
        told = f"{refusal} {refusal.diag.context or ''}"
        if any(name in told for name in _OURS):
            self.written.capture_failures.append(f"{refusal.sqlstate}: {told[:500]}")


_STILL_RUNS = """
select not exists (select from pg_prepared_xacts where gid = %s) and pg_xact_status(%s::xid8) = 'in progress'
"""


def _copy(connection: psycopg.Connection[Any], step: Copy) -> None:
    with connection.cursor() as cursor, cursor.copy(step.sql.encode()) as copy:
        for row in step.rows:
            copy.write_row(row)
