"""Finding the changes that the server refuses, after it refused a whole batch for its values.

It says what is wrong with a statement, not which of its ten thousand rows it was. So parts of them are
inserted, outside any transaction, into one temporary table: a staging table again, or one like the target
when it was the target that refused. A probe that fails leaves nothing behind; one that passes leaves rows
that nobody reads. No lock is held meanwhile.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from pgevents.batch import Change
from pgevents.config import Policies
from pgevents.refusals import Refusal, refusal
from redshift_writer.bisection import Bisection
from redshift_writer.connect import Session
from redshift_writer.control_tables import timestamp
from redshift_writer.failures import meaning_of
from redshift_writer.identifiers import folded, listed, qualified, quoted
from redshift_writer.merge import Counted
from redshift_writer.simple_query import ConnectionLost, ServerError
from redshift_writer.sql import Sql, sql
from redshift_writer.staging import (
    MESSAGE_BYTES,
    STATEMENT_BYTES,
    Staged,
    StagedRow,
    insert_head,
    parts,
    staged_rows,
)

MOST_REFUSALS = 100
"""Named at a time; the next ones are found when the rest of the batch comes."""
_REASON_LENGTH = 1_000
_NOT_NULL = "23502"
_NAMED_COLUMN = re.compile(r'column "?([^"\s]+)')


class Planned(NamedTuple):
    """A statement of a batch's transaction, and whose rows it inserts where.

    staged: the changes that it carries or moves, None when no change can be why it fails. counts: as in
    `merge.Step`, "" for an insert into the staging table; `part` says which one of these it is, from 0.
    """

    sql: bytes
    staged: Staged | None = None
    counts: Counted = ""
    part: int = 0


class _Bench(NamedTuple):
    """A temporary table to try rows on: how it is made, what an insert into it begins with, and a row's
    text in it."""

    create: bytes
    drop: bytes
    head: bytes
    text: Callable[[StagedRow], bytes]


def find_refused(
    session: Session, schema: str, failed: Planned, error: ServerError, policies: Policies
) -> list[Refusal]:
    """The changes for which a statement of this transaction, now rolled back, was refused.

    An empty list: no change is refused when it is tried alone, or every change is, whatever is in it. Raises
    ServerError for what is no refusal, ConnectionLost.
    """
    if failed.staged is None:
        return []
    rows = staged_rows(failed.staged.table, failed.staged.shape, policies, session.quoting)
    failing, untried = _suspects(rows, failed)
    if not failing:
        return []
    with _bench(session, schema, failed) as bench:
        probe = _Probe(session, bench, failed.staged, policies)
        others = [rows[-1] for rows in (failing[1:], untried) if rows]
        search = Bisection(probe, MOST_REFUSALS, lambda row: probe.takes_nothing(row, others, error))
        search.search(failing, untried)
    if search.unexplained and not search.refused:
        return []
    return [_refusal(failed.staged, row.change, why) for row, why in search.refused]


def _suspects(rows: list[StagedRow], failed: Planned) -> tuple[list[StagedRow], list[StagedRow]]:
    """The rows of the statement that failed, and those that it came too early for."""
    match failed.counts:
        case "recorded":
            return rows, []
        case "inserted" | "deleted":
            newest = [row for row in rows if row.newest]
            deletions = [row for row in newest if row.change.clause == "DELETE"]
            insertions = [row for row in newest if row.change.clause == "INSERT"]
            return (insertions, deletions) if failed.counts == "inserted" else (deletions, [])
        case "":
            assert failed.staged is not None  # noqa: S101 - for the type checker
            most = STATEMENT_BYTES - len(insert_head(failed.staged.name, failed.staged.table))
            sizes = [len(part) for part in parts([row.sql for row in rows], most)]
            first = sum(sizes[: failed.part])
            last = first + sizes[failed.part]
            return rows[first:last], rows[last:]
        case _:
            return [], []


@contextlib.contextmanager
def _bench(session: Session, schema: str, failed: Planned) -> Iterator[_Bench]:
    bench = _bench_of(schema, failed)
    session.run(bench.create)
    try:
        yield bench
    except ConnectionLost:
        raise
    except BaseException:
        with contextlib.suppress(ServerError, ConnectionLost):
            session.run(bench.drop)
        raise
    session.run(bench.drop)


def _bench_of(schema: str, failed: Planned) -> _Bench:
    staged = failed.staged
    assert staged is not None  # noqa: S101 - for the type checker
    if failed.counts == "":
        head = insert_head(staged.name, staged.table)
        return _Bench(staged.statements[0], _drop(staged.name), head, lambda row: row.sql)
    if failed.counts == "recorded":
        moment = timestamp(datetime.now(UTC)).encode()
        return _like(
            schema, staged.shape.history, staged, sql('"_clause", "_version", "_applied_at"'),
            lambda row: b"%b,'%b',%d,%b)" % (
                row.sql.rsplit(b",", 3)[0], row.change.clause.encode(), row.change.version, moment
            ),
        )  # fmt: skip
    return _like(
        schema, staged.shape.versions, staged, sql('"_version", "_deleted"'),
        lambda row: row.sql.rsplit(b",", 1)[0] + b")",
    )  # fmt: skip


def _like(
    schema: str, table: str, staged: Staged, control: Sql, text: Callable[[StagedRow], bytes]
) -> _Bench:
    """A table with the target's own columns: their types, their lengths and what must not be NULL in them."""
    names = {
        "probe": quoted("pgevents_probe"),
        "table": qualified(schema, table),
        "columns": listed(staged.columns),
        "control": control,
    }
    return _Bench(
        sql("create temp table {probe} (like {table})", **names).encode(),
        _drop(names["probe"]),
        sql("insert into {probe} ({columns}, {control}) values ", **names).encode(),
        text,
    )


def _drop(name: Sql) -> bytes:
    return sql("drop table {name}", name=name).encode()


class _Probe:
    """Tries rows on a bench."""

    def __init__(self, session: Session, bench: _Bench, staged: Staged, policies: Policies) -> None:
        self._session = session
        self._bench = bench
        self._staged = staged
        self._policies = policies

    def __call__(self, rows: Sequence[StagedRow]) -> ServerError | None:
        head = self._bench.head
        for part in parts([self._bench.text(row) for row in rows], MESSAGE_BYTES - len(head)):
            try:
                self._session.run(head + b",".join(part))
            except ServerError as error:
                if meaning_of(error) != "refused":
                    raise
                return error
        return None

    def takes_nothing(self, row: StagedRow, others: Sequence[StagedRow], error: ServerError) -> bool:
        """Whether not even keys are taken: then the table is at fault, and no change is a dead letter for it.

        Of one row alone that cannot be known, unless the server names a column that is none of ours.
        """
        if any(self._takes_key(one) for one in (row, *others)):
            return False
        return bool(others) or _names_another_column(error, self._staged)

    def _takes_key(self, row: StagedRow) -> bool:
        table = self._staged.table
        if row.change.values is None:
            return True
        keys = table.key_positions()
        values = tuple(value if at in keys else None for at, value in enumerate(row.change.values))
        bare = Change("DELETE", row.change.version, values)
        changes = type(table)(table.target, table.mode, table.sinks, table.key, table.columns, [bare])
        return self(staged_rows(changes, self._staged.shape, self._policies, self._session.quoting)) is None


def _names_another_column(error: ServerError, staged: Staged) -> bool:
    named = _NAMED_COLUMN.search(error.message)
    own = {folded(column) for column in staged.columns}
    return error.code == _NOT_NULL and named is not None and named[1] not in own


def _refusal(staged: Staged, change: Change, error: Exception) -> Refusal:
    return refusal(staged.table, change, f"Redshift refuses it: {error}"[:_REASON_LENGTH])
