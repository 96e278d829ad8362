"""One batch, one transaction: lock, token, staging, merge, COMMIT; tried again when Redshift asks for it."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NoReturn

import msgspec

from pgevents.batch import Batch
from pgevents.config import Policies
from pgevents.errors import TerminalError, TransientError
from redshift_writer.connect import Session, Sessions
from redshift_writer.control_tables import create, open_transaction, record_applied, record_truncation
from redshift_writer.failures import meaning_of
from redshift_writer.identifiers import folded
from redshift_writer.merge import Step, merge
from redshift_writer.shapes import Shape, Shapes
from redshift_writer.simple_query import ConnectionLost, ServerError
from redshift_writer.sql import Sql, sql
from redshift_writer.staging import Staged, messages, stage

MOST_ATTEMPTS = 8
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0


class Counts(msgspec.Struct):
    """What a batch did.

    Rows and deletions put into mirrors, rows that a TRUNCATE took, changes older than what is there,
    versions added to histories.
    """

    inserted: int = 0
    deleted: int = 0
    truncated: int = 0
    stale: int = 0
    recorded: int = 0


class Applied(msgspec.Struct, frozen=True):
    """A batch that took effect. `first` is False when it had done so before, and nothing was done now.

    `applied_at` is ISO 8601 in UTC, taken right after the COMMIT.
    """

    applied_at: str
    first: bool
    counts: Counts
    attempts: int
    round_trips: int


class Writer:
    """Applies batches to the tables of one schema. Keeps what it learns about them over warm invocations."""

    def __init__(
        self,
        sessions: Sessions,
        schema: str,
        policies: Policies,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sessions = sessions
        self._schema = schema
        self._policies = policies
        self._pause = pause
        self._shapes = Shapes(schema)

    def apply(self, batch: Batch) -> Applied:
        """Makes the batch take effect once, however often it is called.

        Raises TransientError when Redshift could not be reached or was too busy, TerminalError when changes
        can never be taken as they are.
        """
        for attempt in range(1, MOST_ATTEMPTS + 1):
            try:
                return self._attempt(batch, attempt)
            except (ConnectionLost, TransientError) as error:
                # Perhaps the COMMIT was done before the connection broke: the token tells.
                self._sessions.drop()
                failure: Exception = error
            except ServerError as error:
                self._sessions.rollback()
                self._shapes.forget()
                self._recover(batch, error)
                failure = error
            except TerminalError:
                self._sessions.rollback()
                self._shapes.forget()
                raise
            self._shapes.forget()
            self._pause(_pause_seconds(attempt))
        raise TransientError(
            f"batch {batch.batch_id} of {batch.source} failed {MOST_ATTEMPTS} times in a row: {failure}"
        ) from failure

    def _recover(self, batch: Batch, error: ServerError) -> None:
        """Prepares another attempt, or raises when none can help. A conflict needs nothing but a pause."""
        match meaning_of(error):
            case "missing":
                self._create_control_tables()
            case "view_in_use":
                targets = {table.target for table in batch.tables}
                self._shapes.leave_views(
                    {name for name in targets if folded(name) in error.message} or targets
                )
            case "refused":
                _refuse(batch, error)
            case "unavailable":
                self._sessions.drop()
                raise TransientError(
                    f"Redshift failed batch {batch.batch_id} of {batch.source}: {error}"
                ) from error

    def _create_control_tables(self) -> None:
        try:
            create(self._sessions.get(), self._schema)
        except ConnectionLost:
            self._sessions.drop()
        except ServerError as error:
            if meaning_of(error) != "conflict":
                raise TransientError(f"cannot make the tables in schema {self._schema}: {error}") from error

    def _attempt(self, batch: Batch, attempt: int) -> Applied:
        session = self._sessions.get()
        trips_before = session.wire.round_trips
        shapes = self._shapes.known(batch.tables)
        # Rendered before the lock is taken, where possible: nobody waits for it.
        staged = self._stage(batch, shapes, session) if shapes is not None else None
        opening = open_transaction(session, self._schema, batch)
        if opening.applied_at is not None:
            self._sessions.rollback()
            return Applied(
                opening.applied_at, False, Counts(), attempt, session.wire.round_trips - trips_before
            )
        if staged is None:
            staged = self._stage(batch, self._shapes.ensure(session, batch.tables), session)
        counts = self._write(session, batch, staged, opening.truncated)
        applied_at = datetime.now(UTC).isoformat(timespec="microseconds")
        return Applied(applied_at, True, counts, attempt, session.wire.round_trips - trips_before)

    def _stage(self, batch: Batch, shapes: dict[str, Shape], session: Session) -> list[Staged]:
        return [
            stage(number, table, shapes[table.target], self._policies, session.quoting)
            for number, table in enumerate(batch.tables)
        ]

    def _write(
        self, session: Session, batch: Batch, staged: list[Staged], truncated: dict[str, int]
    ) -> Counts:
        moment = _timestamp(datetime.now(UTC))
        statements: list[bytes] = []
        counted: dict[int, str] = {}
        for one in staged:
            statements += one.statements
            for step in self._merge(session, one, truncated, moment):
                if step.counts:
                    counted[len(statements)] = step.counts
                statements.append(step.sql.encode())
        statements.append(record_applied(session, self._schema, batch, moment).encode())
        statements.append(b"commit")
        results: list[int] = []
        for message in messages(statements):
            results += session.run(b"; ".join(message)).counts
        counts = Counts()
        for position, name in counted.items():
            setattr(counts, name, getattr(counts, name) + results[position])
        return counts

    def _merge(self, session: Session, staged: Staged, truncated: dict[str, int], moment: Sql) -> list[Step]:
        """One target's steps. A batch may name a target twice, once for each layout that its table had."""
        target = staged.table.target
        before = truncated.get(target, 0)
        steps = list(merge(self._schema, staged, before, moment))
        if staged.truncated > before:
            truncated[target] = staged.truncated
            steps += [
                Step(text) for text in record_truncation(session, self._schema, target, staged.truncated)
            ]
        return steps


def _refuse(batch: Batch, error: ServerError) -> NoReturn:
    targets = ", ".join(sorted({table.target for table in batch.tables}))
    raise TerminalError(
        f"Redshift refuses a value in batch {batch.batch_id} of {batch.source} for {targets}: {error}"
    ) from error


def _timestamp(moment: datetime) -> Sql:
    return sql("timestamp '{moment}'", moment=Sql(moment.strftime("%Y-%m-%d %H:%M:%S.%f")))


def _pause_seconds(attempt: int) -> float:
    """Full jitter: writers that met once do not meet again."""
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt)
    return random.uniform(0, longest)  # noqa: S311 - spreads, hides nothing
