"""The dead-letter store: events that could not be taken, and the later events of the same rows."""

import msgspec

from pgevents.batch import Values
from transform.captured import Dead, LedgerBatch
from transform.session import SourceSession


class DeadLetters(SourceSession):
    """The dead letters of one source."""

    def dead_keys(self) -> dict[tuple[str, Values], int]:
        """The rows whose events wait in the dead-letter store: (table, key) → the first seq that waits."""
        first: dict[tuple[str, Values], int] = {}
        for table, seq, keys in self._connection.execute(
            "select table_name, seq, keys from pgevents.dead_letter order by seq desc"
        ):
            for key in keys:
                first[table, tuple(key.values())] = seq
        return first

    def bury(self, batch: LedgerBatch, dead: list[Dead]) -> None:
        """Keeps events that could not be taken; those that are kept already stay as they are."""
        with self._connection.cursor() as cursor:
            cursor.executemany(
                "insert into pgevents.dead_letter"
                " (batch_id, epoch, seq, table_name, event_type, keys, event, error, stack)"
                " values (%s, %s, %s, %s, %s, %s::json, %s::jsonb, %s, %s) on conflict do nothing",
                [
                    (batch.batch_id, batch.epoch, letter.seq, letter.table, letter.event_type,
                     msgspec.json.encode(letter.keys).decode(), letter.event.decode(), letter.error,
                     letter.stack)
                    for letter in dead
                ],
            )  # fmt: skip
