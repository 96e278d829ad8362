"""What the drain reads of a source: batches as the ledger has them, captured changes, and those that died."""

from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

from pgevents.batch import Values


class LedgerBatch(msgspec.Struct, frozen=True):
    """A batch as the ledger has it. `opened_at` is the database's clock, in UTC.

    A window's events lie in the outbox. A replay's are dead letters, all of `replay_epoch`. `confirmed` says
    that Redshift has the batch.
    """

    batch_id: int
    epoch: int
    events: int
    opened_at: datetime
    kind: Literal["window", "replay"] = "window"
    replay_epoch: int | None = None
    confirmed: bool = False

    @property
    def event_epoch(self) -> int:
        """The epoch of the events' versions. What is sent again keeps its own, in whatever epoch that is."""
        return self.epoch if self.replay_epoch is None else self.replay_epoch


class OutboxRow(msgspec.Struct, frozen=True, gc=False):
    """One captured change as the outbox holds it: values in PostgreSQL's text form, in the layout's order.
    The transaction's number and the time are texts too: few ask for them."""

    op: str
    seq: int
    transaction_id: str
    captured_at: str
    before: Values
    after: Values

    def has_before(self) -> bool:
        """Whether there was a row before; a snapshot that puts right an earlier event has that one's."""
        return any(value is not None for value in self.before)


class TableRows(msgspec.Struct, frozen=True):
    """The changes of one table in one layout, in order of seq. `table` is schema.table."""

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[OutboxRow]

    def key_positions(self) -> tuple[int, ...]:
        """Where the key's columns stand among the columns."""
        return tuple(self.columns.index(name) for name in self.key)


def keys_of(row: OutboxRow, key_positions: tuple[int, ...]) -> list[Values]:
    """The keys of the rows that a change is about: before it and after it, both where they differ."""
    images = {"T": [], "B": [], "D": [row.before], "U": [row.before, row.after]}.get(row.op, [row.after])
    if row.op == "S" and row.has_before():
        images = [row.before, row.after]
    return list(dict.fromkeys(tuple(image[position] for position in key_positions) for image in images))


class Dead(NamedTuple):
    """A change that could not be taken, as it is kept. `keys` are the row's keys, each column → text.

    `waits` says that it was not tried, because an earlier change of the same row is dead.
    """

    seq: int
    table: str
    event_type: str
    keys: list[dict[str, str | None]]
    event: bytes
    error: str
    stack: str
    waits: bool = False
