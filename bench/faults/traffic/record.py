"""The generator's own record of what has committed, read when the writers have ended."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
import psycopg

from bench.faults.traffic.tables import TABLES, TrafficTable, partition_of
from bench.faults.traffic.writer import Written

Key = tuple[str, ...]


class RowChange(NamedTuple):
    """One committed change of a row.

    `op` is I, U, D, or T for a TRUNCATE. `life` and `n` name the row's version, `before` and `after` are its
    keys.
    """

    op: str
    tx: str
    before: Key | None
    after: Key | None
    life: int
    n: int


class SourceRecord(msgspec.Struct, frozen=True):
    """What has committed in one source: the transactions, and by table the changes, in each row's own order.

    `acknowledged` are those that a writer was told of, `rolled_back` those that it knows to have ended
    without effect. `resent` are tables of which a partition was truncated by a transaction whose snapshot may
    not have shown every row of it: capture cannot know these rows, and has the whole table sent again.
    """

    committed: frozenset[str]
    acknowledged: frozenset[str]
    rolled_back: frozenset[str]
    changes: dict[str, list[RowChange]]
    resent: frozenset[str] = frozenset()

    def counts(self) -> dict[str, Counter[str]]:
        """The row changes of each table by operation: INSERT, UPDATE, DELETE, TRUNCATE."""
        return {table: Counter(map(operation, changes)) for table, changes in self.changes.items()}

    def total(self) -> int:
        """The number of row changes, a TRUNCATE being one."""
        return sum(map(len, self.changes.values()))

    def least_events(self) -> int:
        """So many events capture must have written: rows that it could not see had no deletions."""
        unseen = sum(change.op == "D" for table in self.resent for change in self.changes[table])
        return self.total() - unseen


class Record(msgspec.Struct, frozen=True):
    """What all writers wrote, by source; and how they fared.

    `refusals` counts errors by SQLSTATE. `capture_failures` are statements that failed because of capture.
    """

    seed: int
    sources: dict[str, SourceRecord]
    refusals: Counter[str]
    capture_failures: list[str]
    looked_up: int
    cut: int
    slowest_commit_seconds: float

    def total(self) -> int:
        """The number of committed row changes, a TRUNCATE being one."""
        return sum(source.total() for source in self.sources.values())


def read_source(connection: psycopg.Connection[Any], written: list[Written]) -> SourceRecord:
    """The record of one source, in one snapshot. Nothing may be writing, or be prepared, any more."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        committed = frozenset(str(tx) for (tx,) in connection.execute("select tx from public.journal"))
        changes = {table.name: _changes(connection, table) for table in TABLES}
        resent = frozenset(str(table) for (table,) in connection.execute(_RESENT))
    return SourceRecord(
        committed,
        frozenset().union(*(each.committed for each in written)),
        frozenset().union(*(each.rolled_back for each in written)),
        changes,
        resent,
    )


def operation(change: RowChange) -> str:
    """INSERT, UPDATE, DELETE or TRUNCATE."""
    return _OPERATIONS[change.op]


_OPERATIONS = {"I": "INSERT", "U": "UPDATE", "D": "DELETE", "T": "TRUNCATE"}
_RESENT = "select distinct relation from traffic.change where op = 'P' and after <> '{read committed}'"


def _changes(connection: psycopg.Connection[Any], table: TrafficTable) -> list[RowChange]:
    rows = connection.execute(
        "select op::text, tx, before, after, coalesce(life, 0), coalesce(n, 0) from traffic.change"
        " where relation = %s order by number",
        (table.name,),
    )
    return _with_moves(
        _with_truncated_parts(
            RowChange(op, tx, _key(before), _key(after), life, n) for op, tx, before, after, life, n in rows
        )
    )


def _with_truncated_parts(changes: Iterable[RowChange]) -> list[RowChange]:
    """The rows of a truncated partition: all that were there, whatever the transaction could see of them."""
    living: dict[Key, RowChange] = {}
    written: list[RowChange] = []
    for each in changes:
        if each.op == "P":
            taken = [last for key, last in living.items() if each.before == (partition_of(key),)]
            written += [last._replace(op="D", tx=each.tx, before=last.after, after=None) for last in taken]
            for last in taken:
                del living[last.after or ()]
            continue
        written.append(each)
        if each.op == "T":
            living.clear()
        if each.before is not None:
            living.pop(each.before, None)
        if each.after is not None:
            living[each.after] = each
    return written


def _with_moves(changes: list[RowChange]) -> list[RowChange]:
    """Row triggers see a row that moves to another partition leave one and come to the other: one UPDATE."""
    arrivals = {(each.tx, each.life, each.n): each for each in changes if each.op == "I" and each.n > 0}
    moved: list[RowChange] = []
    for each in changes:
        if each.op == "D" and (arrival := arrivals.get((each.tx, each.life, each.n + 1))) is not None:
            moved.append(arrival._replace(op="U", before=each.before))
        elif not (each.op == "I" and each.n > 0):
            moved.append(each)
    return moved


def _key(parts: list[str] | None) -> Key | None:
    return None if parts is None else tuple(parts)
