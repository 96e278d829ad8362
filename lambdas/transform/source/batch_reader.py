"""The reading of a batch: its events as the outbox holds them, the same ones every time."""

from operator import attrgetter

from pgevents.errors import PgEventsError
from transform.collector import rows_aside
from transform.source.captured import LedgerBatch, OutboxRow, TableRows
from transform.source.dead_letters import DeadLetters
from transform.source.text_cursor import streamed

_OWN_FIELDS = 4


class BatchReader(DeadLetters):
    """Reads the events of batches: a window's from the outbox, a replay's from the dead letters."""

    def read(self, batch: LedgerBatch) -> list[TableRows]:
        """The events of a batch, the same ones at every call until it is applied.

        Raises PgEventsError when they are not all there: something else than this project has taken them.
        A replay has lost those that died again.
        """
        if batch.kind == "replay":
            return self.letters(batch)
        found = 0
        for in_place in (True, False):
            tables = self._tables(batch, in_place)
            found = sum(len(table.rows) for table in tables)
            if found == batch.events:
                return tables
        raise PgEventsError(
            f"source {self.source}: batch {batch.batch_id} holds {found} of its {batch.events} events; "
            "something else has changed the outbox: set the batch's state to 'dead' in pgevents.batch, "
            "then compare source and targets"
        )

    def _tables(self, batch: LedgerBatch, in_place: bool) -> list[TableRows]:
        found: dict[tuple[str, ...], TableRows] = {}
        for table, key, columns, types, query in self._connection.execute(
            "select table_name, key, columns, types, query from pgevents.batch_queries(%s, %s)",
            (batch.batch_id, in_place),
        ).fetchall():
            shape = (table, repr(key), repr(columns), repr(types))
            merged = found.setdefault(shape, TableRows(table, tuple(key), tuple(columns), tuple(types), []))
            with rows_aside():
                merged.rows.extend(self._rows(query, len(columns)))
        for merged in found.values():
            # They come as they were inserted, and from both halves of the outbox.
            merged.rows.sort(key=attrgetter("seq"))
        return [merged for merged in found.values() if merged.rows]

    def _rows(self, query: str, width: int) -> list[OutboxRow]:
        before = slice(_OWN_FIELDS, _OWN_FIELDS + width)
        after = slice(before.stop, None)
        # What most rows lack, before an insertion and after a deletion, is one tuple for all of them.
        nothing = (None,) * width
        return [
            OutboxRow(
                row[0],
                int(row[1]),
                row[2],
                row[3],
                nothing if row[0] == "I" else row[before],
                nothing if row[0] == "D" else row[after],
            )
            for row in streamed(self._connection, query)
        ]
