"""What the drain reads of a source: batches as the ledger has them, captured changes, and those that died."""

from datetime import datetime
from typing import NamedTuple

import msgspec

from pgevents.batch import Values


class LedgerBatch(msgspec.Struct, frozen=True):
    """A batch as the ledger has it. `opened_at` is the database's clock, in UTC."""

    batch_id: int
    epoch: int
    events: int
    opened_at: datetime


class OutboxRow(NamedTuple):
    """One captured change as the outbox holds it: values in PostgreSQL's text form, in the layout's order."""

    op: str
    seq: int
    transaction_id: int
    captured_at: str
    before: Values
    after: Values


class TableRows(msgspec.Struct, frozen=True):
    """The changes of one table in one layout, in order of seq. `table` is schema.table."""

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[OutboxRow]


class Dead(NamedTuple):
    """A change that could not be taken, as it is kept. `keys` are the row's keys, each column → text."""

    seq: int
    table: str
    event_type: str
    keys: list[dict[str, str | None]]
    event: bytes
    error: str
    stack: str
