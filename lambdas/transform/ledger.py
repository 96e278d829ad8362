"""The ledger: which batches there are, how far each has come, and what was refused of it."""

from collections.abc import Mapping
from datetime import datetime

from transform.captured import LedgerBatch
from transform.session import SourceSession


class Ledger(SourceSession):
    """The batches of one source and their states."""

    def open(self) -> list[LedgerBatch]:
        """The batches that have not been forwarded, oldest first."""
        return self._ledger(_OPEN)

    def overdue(self, seconds: float) -> list[LedgerBatch]:
        """The batches that were forwarded so long ago and are not applied, oldest first."""
        return self._ledger(_OVERDUE, (seconds,))

    def in_flight(self) -> int:
        """How many batches are forwarded and not applied."""
        return self._count("select count(*) from pgevents.batch where state = 'forwarded'")

    def mark_forwarded(self, batch: LedgerBatch) -> None:
        """Notes that the batch was handed on; nothing is changed if it is applied already."""
        self._connection.execute(
            "update pgevents.batch"
            " set state = 'forwarded', forwarded_at = clock_timestamp(), attempts = attempts + 1"
            " where batch_id = %s and state in ('open', 'forwarded')",
            (batch.batch_id,),
        )

    def mark_applied(self, batch_id: int, applied_at: datetime | None = None) -> bool:
        """Notes that every sink holds the batch; False when that was known already."""
        updated = self._connection.execute(
            "update pgevents.batch set state = 'applied', applied_at = coalesce(%s, clock_timestamp())"
            " where batch_id = %s and state in ('open', 'forwarded')",
            (applied_at, batch_id),
        )
        return updated.rowcount == 1

    def refuse(self, batch_id: int, reasons: Mapping[int, str]) -> None:
        """Notes the events, by seq, that the writer refused and why, and opens their batch again.

        Nothing is opened that is applied already: a late answer to an earlier attempt changes nothing then.
        """
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.executemany(
                "insert into pgevents.refused_event (batch_id, seq, reason) values (%s, %s, %s)"
                " on conflict do nothing",
                [(batch_id, seq, reason) for seq, reason in reasons.items()],
            )
            cursor.execute(
                "update pgevents.batch set state = 'open' where batch_id = %s and state = 'forwarded'",
                (batch_id,),
            )

    def refused(self, batch: LedgerBatch) -> dict[int, str]:
        """The events of a batch that the writer refused, by seq, and why."""
        rows = self._connection.execute(
            "select seq, reason from pgevents.refused_event where batch_id = %s", (batch.batch_id,)
        )
        return dict(rows.fetchall())

    def _ledger(self, query: str, parameters: tuple[object, ...] = ()) -> list[LedgerBatch]:
        return [LedgerBatch(*row) for row in self._connection.execute(query, parameters)]


_OPEN = "select batch_id, epoch, events, opened_at from pgevents.batch where state = 'open' order by batch_id"

_OVERDUE = """
select batch_id, epoch, events, opened_at
from pgevents.batch
where state = 'forwarded' and forwarded_at < clock_timestamp() - make_interval(secs => %s)
order by batch_id
"""
