"""Ways to take events from an outbox, each until so many are taken; they return how many that were."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import psycopg

from bench.drain.source import Bed
from transform.collector import rows_let_go
from transform.source import copy_text

BATCH = 10_000
Reader = Callable[[Bed, int], int]

_SKIP_LOCKED = """
delete from naive_outbox where id in (
    select id from naive_outbox order by id limit %s for update skip locked
)
returning event::text
"""
_RETURNING = """
with oldest as materialized (select min(id) as id from naive_outbox)

delete from naive_outbox as n using oldest as o
where n.id >= o.id and n.id < o.id + %s
returning n.event::text
"""


def drained(bed: Bed, most: int) -> int:
    """What the drain does but for the sinks: opens the batches, reads each as events, and marks it."""
    outbox = bed.outbox
    outbox.open_batches(BATCH)
    taken = 0
    for batch in outbox.open():
        if taken >= most:
            break
        taken += sum(len(table.rows) for table in outbox.read(batch))
        outbox.mark_written(batch)
        rows_let_go()
    return taken


def split(bed: Bed, most: int) -> int:
    """The same batches by COPY, its lines split in Python."""
    outbox = bed.outbox
    outbox.open_batches(BATCH)
    taken = 0
    for batch in outbox.open():
        if taken >= most:
            break
        taken += sum(len(copy_text.rows(copied)) for copied in _copied(bed.reader, batch.batch_id))
        outbox.mark_written(batch)
    return taken


def _copied(connection: psycopg.Connection[Any], batch_id: int) -> Iterator[bytes]:
    queries = connection.execute("select query from pgevents.batch_queries(%s, true)", (batch_id,)).fetchall()
    for (query,) in queries:
        with connection.cursor() as cursor, cursor.copy(f"copy ({query}) to stdout".encode()) as copy:
            yield b"".join(copy)


def skip_locked(bed: Bed, most: int) -> int:
    """FOR UPDATE SKIP LOCKED and DELETE, each event decoded."""
    return _deleted(bed, most, _SKIP_LOCKED)


def returning(bed: Bed, most: int) -> int:
    """DELETE of the oldest, RETURNING them, each event decoded."""
    return _deleted(bed, most, _RETURNING)


def _deleted(bed: Bed, most: int, statement: str) -> int:
    taken = 0
    while taken < most:
        rows = bed.reader.execute(statement.encode(), (min(BATCH, most - taken),)).fetchall()
        if not rows:
            break
        taken += len([msgspec.json.decode(event) for (event,) in rows])
    return taken
