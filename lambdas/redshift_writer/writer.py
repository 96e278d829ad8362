"""One batch, one transaction: lock, token, staging, merge, COMMIT; tried again when Redshift asks for it."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NoReturn

import msgspec

from pgevents import log
from pgevents.batch import Batch
from pgevents.config import Policies
from pgevents.errors import TerminalError, TransientError
from pgevents.identity import BatchIdentity, SourceReplaced
from pgevents.refusals import RefusedChanges
from redshift_writer.connect import Session, Sessions
from redshift_writer.control_tables import (
    create,
    open_transaction,
    record_applied,
    record_truncation,
    timestamp,
)
from redshift_writer.copying import Copier, Place
from redshift_writer.failures import meaning_of
from redshift_writer.identifiers import folded
from redshift_writer.merge import Step, merge
from redshift_writer.probes import Planned, find_refused
from redshift_writer.shapes import Shape, Shapes
from redshift_writer.simple_query import ConnectionLost, ServerError
from redshift_writer.sql import Sql
from redshift_writer.staging import Staged, messages, stage

MOST_ATTEMPTS = 8
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0
_SYSTEM = random.SystemRandom()
"""Has no state: two Lambdas that start from one snapshot would draw the same pauses from any other."""


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

    `applied_at` is ISO 8601 in UTC, taken right after the COMMIT. `newest` is the newest batch of its source
    that had taken effect before it: only the source can tell whether it knows that one.
    """

    applied_at: str
    first: bool
    counts: Counts
    attempts: int
    round_trips: int
    newest: BatchIdentity | None = None


class StatementFailed(ServerError):
    """The server refused this statement of a batch's transaction."""

    def __init__(self, error: ServerError, statement: Planned) -> None:
        super().__init__(error.code, error.message, error.detail, error.done)
        self.statement = statement


class Writer:
    """Applies batches to the tables of one schema. Keeps what it learns about them over warm invocations."""

    def __init__(
        self,
        sessions: Sessions,
        schema: str,
        policies: Policies,
        pause: Callable[[float], None] = time.sleep,
        copies: Place | None = None,
    ) -> None:
        self._sessions = sessions
        self._schema = schema
        self._policies = policies
        self._pause = pause
        self._copies = copies
        self._may_copy = self._has_copied = False
        self._shapes = Shapes(schema)
        self._unexplained = 0

    def apply(self, batch: Batch) -> Applied:
        """Makes the batch take effect once, however often it is called.

        Raises TransientError when Redshift could not be reached or was too busy, RefusedChanges with the
        changes that can never be taken, TerminalError for a refusal that is no single change's fault, and
        SourceReplaced when another batch has taken effect under this one's number.
        """
        self._unexplained = 0
        self._may_copy = True
        for attempt in range(1, MOST_ATTEMPTS + 1):
            try:
                return self._attempt_explained(batch, attempt)
            except (ConnectionLost, TransientError) as error:
                # Perhaps the COMMIT was done before the connection broke: the token tells.
                self._sessions.drop()
                failure: Exception = error
            except ServerError as error:
                self._sessions.rollback()
                self._shapes.forget()
                self._recover(batch, error)
                failure = error
            except (TerminalError, SourceReplaced):
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
        meaning = meaning_of(error)
        if self._has_copied and meaning in ("refused", "unavailable"):
            # Literals need no bucket and no role, and tell which change it was.
            log.warning("copy_refused", source=batch.source, batch_id=batch.batch_id, reason=str(error))
            self._may_copy = False
            return
        match meaning:
            case "missing":
                self._create_control_tables()
            case "view_in_use":
                targets = {table.target for table in batch.tables}
                self._shapes.leave_views(
                    {name for name in targets if folded(name) in error.message} or targets
                )
            case "refused":
                # Once more before it is said: what was refused may have been taken out of the way meanwhile.
                self._unexplained += 1
                if self._unexplained > 1:
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

    def _attempt_explained(self, batch: Batch, attempt: int) -> Applied:
        """An attempt; when it fails for its values, raises RefusedChanges if some changes are why."""
        try:
            return self._attempt(batch, attempt)
        except StatementFailed as failed:
            if meaning_of(failed) == "refused" and not self._has_copied:
                self._sessions.rollback()
                refused = find_refused(
                    self._sessions.get(), self._schema, failed.statement, failed, self._policies
                )
                if refused:
                    raise RefusedChanges(refused) from failed
            raise

    def _attempt(self, batch: Batch, attempt: int) -> Applied:
        self._has_copied = False
        session = self._sessions.get()
        trips_before = session.wire.round_trips
        shapes = self._shapes.known(batch.tables)
        # Rendered before the lock is taken, where possible: nobody waits for it.
        staged = self._stage(batch, shapes, session) if shapes is not None else None
        opening = open_transaction(session, self._schema, batch)
        newest = opening.newest.batch if opening.newest else None
        if opening.token is not None:
            if opening.token.batch.contradicts(batch.identity()):
                raise SourceReplaced("redshift", batch.source, batch.batch_id, opening.token.batch)
            self._sessions.rollback()
            trips = session.wire.round_trips - trips_before
            return Applied(_iso(opening.token.applied_at), False, Counts(), attempt, trips, newest)
        if staged is None:
            staged = self._stage(batch, self._shapes.ensure(session, batch.tables), session)
        counts = self._write(session, batch, staged, opening.truncated)
        trips = session.wire.round_trips - trips_before
        return Applied(_iso(datetime.now(UTC)), True, counts, attempt, trips, newest)

    def _stage(self, batch: Batch, shapes: dict[str, Shape], session: Session) -> list[Staged]:
        copier = Copier(self._copies, batch, session.quoting) if self._copies and self._may_copy else None
        staged = [
            stage(number, table, shapes[table.target], self._policies, session.quoting, copier)
            for number, table in enumerate(batch.tables)
        ]
        self._has_copied = any(one.copied for one in staged)
        return staged

    def _write(
        self, session: Session, batch: Batch, staged: list[Staged], truncated: dict[str, int]
    ) -> Counts:
        moment = timestamp(datetime.now(UTC))
        planned: list[Planned] = []
        for one in staged:
            planned += [Planned(text, one if number else None, "", number - 1)
                        for number, text in enumerate(one.statements)]  # fmt: skip
            planned += [
                Planned(step.sql.encode(), one if step.counts else None, step.counts)
                for step in self._merge(session, one, truncated, moment)
            ]
        planned.append(Planned(record_applied(session, self._schema, batch, moment).encode()))
        planned.append(Planned(b"commit"))
        results = _run_all(session, planned)
        counts = Counts()
        for statement, rows in zip(planned, results, strict=True):
            if statement.counts:
                setattr(counts, statement.counts, getattr(counts, statement.counts) + rows)
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


def _run_all(session: Session, planned: list[Planned]) -> list[int]:
    """Runs statements in as few messages as they fit into; the row count of each. Raises StatementFailed."""
    results: list[int] = []
    for message in messages([statement.sql for statement in planned]):
        try:
            results += session.run(b"; ".join(message)).counts
        except ServerError as error:
            raise StatementFailed(error, planned[len(results) + error.done]) from error
    return results


def _refuse(batch: Batch, error: ServerError) -> NoReturn:
    targets = ", ".join(sorted({table.target for table in batch.tables}))
    statement = f", in {_spelled(error.statement)}" if isinstance(error, StatementFailed) else ""
    raise TerminalError(
        f"Redshift refuses batch {batch.batch_id} of {batch.source} for {targets}{statement}: {error}. "
        "No single change is why: look at the tables' own constraints and columns in Redshift; the batch is "
        "sent again until it is taken"
    ) from error


def _spelled(statement: Planned) -> str:
    """The beginning of a statement, before its values."""
    return repr(statement.sql[:80].partition(b"(")[0].decode(errors="replace").strip())


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def _pause_seconds(attempt: int) -> float:
    """Full jitter: writers that met once do not meet again."""
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt)
    return _SYSTEM.uniform(0, longest)
