"""Captured events of a small table, and what routing makes of them: the words that the tests of routing use."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from pgevents import Version
from pgevents.batch import Change
from pgevents.config import Pipeline, PostgresSink, RedshiftSink, Route, Sink, Source, Table
from transform.routing import DeadKeys, Routed, route_batch
from transform.source.outbox import Dead, LedgerBatch, OutboxRow, TableRows

TABLE = "accounts.public.account"
EPOCH = 3
OPENED = datetime(2026, 11, 22, 15, 54, 54, 12, tzinfo=UTC)
Row = dict[str, str | None]

COLUMNS = {"id": "bigint", "name": "text", "balance": "numeric", "is_open": "boolean"}
ANN: Row = {"id": "1", "name": "Ann", "balance": "10.00", "is_open": "t"}
BOB: Row = {"id": "2", "name": "Bob", "balance": None, "is_open": "f"}


def pipeline(*routes: Route) -> Pipeline:
    names = dict.fromkeys(route.table.split(".", 1)[1] for route in routes)
    sinks: dict[str, Sink] = {"replica": PostgresSink(), "warehouse": RedshiftSink()}
    return Pipeline({"accounts": Source(tuple(Table(name) for name in names))}, sinks, routes)


def route(**changed: object) -> Route:
    return msgspec.structs.replace(Route(TABLE, ("replica", "warehouse")), **changed)


def rows(
    *events: OutboxRow,
    columns: dict[str, str] = COLUMNS,
    key: tuple[str, ...] = ("id",),
    name: str = "public.account",
) -> TableRows:
    return TableRows(name, key, tuple(columns), tuple(columns.values()), list(events))


def event(
    op: str, seq: int, before: Row | None = None, after: Row | None = None, width: int = 4
) -> OutboxRow:
    nothing = (None,) * width
    images = (tuple(before.values()) if before else nothing, tuple(after.values()) if after else nothing)
    return OutboxRow(op, seq, "4711", "2026-11-22 15:54:53.5+00", *images)


def insert(seq: int, row: Row) -> OutboxRow:
    return event("I", seq, None, row, len(row))


def update(seq: int, before: Row, after: Row) -> OutboxRow:
    return event("U", seq, before, after, len(after))


def delete(seq: int, row: Row) -> OutboxRow:
    return event("D", seq, row, None, len(row))


def snapshot(seq: int, row: Row) -> OutboxRow:
    return event("S", seq, None, row, len(row))


def truncate(seq: int) -> OutboxRow:
    return event("T", seq)


def routed(
    *tables: TableRows,
    to: Sequence[Route] = (),
    dead_keys: DeadKeys | None = None,
    refused: dict[int, str] | None = None,
) -> Routed:
    batch = LedgerBatch(7, EPOCH, sum(len(table.rows) for table in tables), OPENED)
    keys = {} if dead_keys is None else dead_keys
    return route_batch(pipeline(*(to or [route()])), "accounts", batch, tables, keys, refused or {})


def changes(*events: OutboxRow, to: Sequence[Route] = ()) -> list[Change]:
    """The changes of the only target, none of them dead."""
    result = routed(rows(*events), to=to)
    assert result.dead == []
    return [change for table in result.batch.tables for change in table.changes]


def version(seq: int) -> int:
    return Version(EPOCH, seq).number


def brought(seq: int, *values: str | None) -> Change:
    return Change("INSERT", version(seq), values)


def taken(seq: int, *values: str | None) -> Change:
    return Change("DELETE", version(seq), values)


def only_dead(result: Routed) -> Dead:
    (dead,) = result.dead
    return dead
