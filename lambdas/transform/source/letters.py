"""What a dead letter keeps of a change: everything that it takes to send it again, unchanged."""

from collections.abc import Iterable

import msgspec

from pgevents.batch import Values
from pgevents.event import EventType
from transform.source.captured import OutboxRow, TableRows

OPERATIONS = {
    EventType.INSERT: "I",
    EventType.UPDATE: "U",
    EventType.DELETE: "D",
    EventType.TRUNCATE: "T",
    EventType.SNAPSHOT: "S",
}


class Letter(msgspec.Struct, frozen=True):
    """A change with the shape that its table had. Letters of the first version have neither key nor
    transaction."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    before: Values
    after: Values
    captured_at: str
    key: tuple[str, ...] | None = None
    transaction_id: int = 0


def letter_of(rows: TableRows, row: OutboxRow) -> bytes:
    """A change of a table as its dead letter's JSON."""
    letter = Letter(
        rows.columns, rows.types, row.before, row.after, row.captured_at, rows.key, int(row.transaction_id)
    )
    return msgspec.json.encode(letter)


def tables_of(letters: Iterable[tuple[str, str, int, list[str], bytes]]) -> list[TableRows]:
    """Letters as the changes of their tables, each in the shape in which it was captured.

    A letter is its table, its event type, its seq, the key's columns where it does not name them, and its
    JSON; they come in order of seq.
    """
    tables: dict[tuple[object, ...], TableRows] = {}
    for table, event_type, seq, key, event in letters:
        letter = msgspec.json.decode(event, type=Letter)
        shape = (table, tuple(key) if letter.key is None else letter.key, letter.columns, letter.types)
        rows = tables.setdefault(shape, TableRows(*shape, []))
        operation = OPERATIONS[EventType(event_type)]
        rows.rows.append(
            OutboxRow(
                operation, seq, str(letter.transaction_id), letter.captured_at, letter.before, letter.after
            )
        )
    return list(tables.values())
