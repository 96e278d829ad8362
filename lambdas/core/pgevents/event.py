"""The change event that transforms are given, and the records that they give back."""

import enum
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec

from pgevents.batch import Clause

Value = None | bool | int | float | Decimal | str
"""A column's value. boolean, integers, floats and numeric are Python's own; every other PostgreSQL type is
its exact text, as psql prints it in UTC: nothing that PostgreSQL holds is too large or too odd for it."""

Row = Mapping[str, Value]

SEQ_BITS = 48


class EventType(enum.StrEnum):
    """What happened to the row. SNAPSHOT is a row as it stands, from a backfill or a repair."""

    INSERT = "INSERT"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    TRUNCATE = "TRUNCATE"
    SNAPSHOT = "SNAPSHOT"


class Version(NamedTuple):
    """Where a change stands in its database's history; of two changes of a row the greater is the later."""

    epoch: int
    seq: int

    @property
    def number(self) -> int:
        """The version as one integer that sorts alike: what the sinks store."""
        return (self.epoch << SEQ_BITS) + self.seq

    @classmethod
    def from_number(cls, number: int) -> "Version":
        """The version that `number` was made of."""
        return cls(number >> SEQ_BITS, number & ((1 << SEQ_BITS) - 1))


class ChangeEvent(msgspec.Struct, frozen=True):
    """One change of one row (TRUNCATE: of all rows) of a captured table.

    `payload` is the whole new row, for DELETE the old one, for TRUNCATE empty; `before` is the old row for
    UPDATE and DELETE. `source` is `database.schema.table`; a partition reports its root table.
    """

    event_type: EventType
    payload: Row
    source: str
    key: Row
    before: Row | None
    version: Version
    transaction_id: int
    captured_at: datetime


class Record(msgspec.Struct, frozen=True):
    """One row for a target.

    `target` defaults to the route's own target. `clause` defaults to DELETE for a DELETE event and to INSERT
    for every other; a DELETE event's transform may return an INSERT to keep the row, marked in its own way.
    """

    values: Row
    target: str | None = None
    clause: Clause | None = None
