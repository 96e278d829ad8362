"""Events of a captured table, routed and encoded in every way that they can be.

Nothing here waits for anybody, so rates are to the processor's time: other programs do not count.
"""

import argparse
import base64
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from bench import measure
from bench.drain.source import NAME, TABLE, Bed, capture, running
from bench.measure import Report, facts, interleaved
from pgevents import ChangeEvent, Record, on, transforms
from pgevents.batch import Batch, decode, encode
from pgevents.config import Pipeline, RedshiftSink, Route, Source, Table
from transform.routing import TableRouter, route_batch
from transform.source.captured import LedgerBatch, TableRows

ROUTED_A_SECOND = 150_000
ROWS_AN_INVOKE = 6.0
_TRANSFORMED_TABLE = "public.transformed"
_TABLES = (TABLE, _TRANSFORMED_TABLE)
_PIPELINE = Pipeline(
    {NAME: Source(tuple(map(Table, _TABLES)))},
    {"warehouse": RedshiftSink()},
    tuple(Route(f"{NAME}.{table}", ("warehouse",)) for table in _TABLES),
)
_PLAIN, _ONE_BY_ONE, _TRANSFORMED = "no transform", "no transform, one by one", "a transform"
_JSON, _ROWS, _ENCODED = "events as JSON", "rows as JSON, zlib 6", "as the writer gets them"


def measured(args: argparse.Namespace) -> Report:
    """Measures both: routing, and the way to the writer."""
    tell, number = measure.teller(args), measure.rounds(args, 9)
    with running() as bed:
        report = Report("transform", facts(PostgreSQL=bed.version))
        captured = _captured(bed, 4_000 if args.quick else 20_000)
    transformed = [_renamed(tables) for tables in captured]
    routing = report.compare(
        interleaved(
            "Routing, of processor time",
            {
                _ONE_BY_ONE: lambda: _rate(captured, _one_by_one),
                _PLAIN: lambda: _rate(captured, _routed),
                _TRANSFORMED: lambda: _rate(transformed, _routed_by_a_transform),
            },
            unit="events/s", baseline=_ONE_BY_ONE, rounds=number, tell=tell,
        )
    )  # fmt: skip
    report.target("events a second without a transform", routing.value(_PLAIN).median, ">=", ROUTED_A_SECOND)
    batches = [_routed(tables) for tables in captured]
    forms: dict[str, Callable[[Batch], bytes]] = {_JSON: _as_json, _ROWS: _as_rows, _ENCODED: encode}
    report.compare(
        interleaved(
            "Encoding, of processor time",
            {name: lambda form=form: _encoding_rate(batches, form) for name, form in forms.items()},  # type: ignore[misc]
            unit="changes/s", baseline=_ROWS, rounds=number, tell=tell,
        )
    )  # fmt: skip
    _compare_sizes(report, batches, forms)
    return report


def _compare_sizes(report: Report, batches: list[Batch], forms: dict[str, Callable[[Batch], bytes]]) -> None:
    """What a change takes of an invoke's payload, in which bytes go as base64."""
    sizes = {}
    changes = sum(batch.change_count() for batch in batches)
    for name, form in forms.items():
        encoded = [form(batch) for batch in batches]
        sizes[name] = (
            sum(len(each) if name == _JSON else len(base64.b64encode(each)) for each in encoded) / changes
        )
        report.figure(f"a change in an invoke: {name}", sizes[name], "bytes")
    encoded = [encode(batch) for batch in batches]
    began = time.process_time()
    for each in encoded:
        decode(each)
    report.figure("decoding", changes / (time.process_time() - began), "changes/s")
    report.target("rows an invoke, of plain JSON's", sizes[_JSON] / sizes[_ENCODED], ">=", ROWS_AN_INVOKE)


def _captured(bed: Bed, events: int) -> list[list[TableRows]]:
    """Real batches of captured events, as the drain reads them."""
    capture(bed.app, events)
    outbox = bed.outbox
    outbox.open_batches(10_000)
    return [outbox.read(batch) for batch in outbox.open()]


def _rate(captured: list[list[TableRows]], route: Callable[[list[TableRows]], object]) -> float:
    began = time.process_time()
    for tables in captured:
        route(tables)
    events = sum(len(rows.rows) for tables in captured for rows in tables)
    return events / (time.process_time() - began)


def _routed(tables: list[TableRows]) -> Batch:
    batch = LedgerBatch(1, 1, sum(len(rows.rows) for rows in tables), datetime.now(UTC))
    return route_batch(_PIPELINE, NAME, batch, tables, {}).batch


def _one_by_one(tables: list[TableRows]) -> None:
    for rows in tables:
        router = TableRouter(_PIPELINE, NAME, 1, rows, {})
        for row in rows.rows:
            router.take(row)


def _routed_by_a_transform(tables: list[TableRows]) -> Batch:
    # No pipeline of anybody else routes that table.
    with transforms.isolated():
        on(f"{NAME}.{_TRANSFORMED_TABLE}", "INSERT", "UPDATE")(lower)
        return _routed(tables)


def lower(event: ChangeEvent) -> Record:
    """A transform of the common kind: one column of the row becomes another value."""
    return Record({**event.payload, "email": str(event.payload["email"]).lower()})


def _renamed(tables: list[TableRows]) -> list[TableRows]:
    """The same events, of the table that has a transform."""
    return [msgspec.structs.replace(rows, table=_TRANSFORMED_TABLE) for rows in tables]


def _encoding_rate(batches: list[Batch], form: Callable[[Batch], bytes]) -> float:
    began = time.process_time()
    for batch in batches:
        form(batch)
    return sum(batch.change_count() for batch in batches) / (time.process_time() - began)


def _as_json(batch: Batch) -> bytes:
    """Each change as an event of its own in plain JSON, as a Lambda is commonly given them."""
    return msgspec.json.encode(
        [
            {
                "event_type": change.clause,
                "source": f"{batch.source}.public.{table.target}",
                "payload": dict(
                    zip([column.name for column in table.columns], change.values or (), strict=False)
                ),
            }
            for table in batch.tables
            for change in table.changes
        ]
    )


def _as_rows(batch: Batch) -> bytes:
    """What a batch was before it was encoded column by column."""

    return zlib.compress(msgspec.json.encode(batch), 6)
