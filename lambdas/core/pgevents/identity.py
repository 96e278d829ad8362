"""Which batch it is: what a sink's token says, and what the ledger of the source must say alike.

A source that is restored to an earlier state gives the numbers of the batches that it has forgotten to other
batches. The moment at which a batch was opened tells them apart: it is in the ledger and in every token.
"""

from datetime import datetime

import msgspec

from pgevents.errors import PgEventsError


class BatchIdentity(msgspec.Struct, frozen=True):
    """A batch of a source. `opened_at` is None in tokens from before the sinks kept it."""

    epoch: int
    batch_id: int
    opened_at: datetime | None

    def contradicts(self, other: "BatchIdentity") -> bool:
        """Whether these are two batches under one number."""
        same_number = (self.epoch, self.batch_id) == (other.epoch, other.batch_id)
        is_known = self.opened_at is not None and other.opened_at is not None
        return same_number and is_known and self.opened_at != other.opened_at

    def __str__(self) -> str:
        opened = self.opened_at.isoformat(timespec="microseconds") if self.opened_at else "an unknown time"
        return f"{self.batch_id} of epoch {self.epoch}, opened at {opened}"


class SourceReplaced(PgEventsError):
    """A sink holds a batch that the source's ledger does not have.

    The source was restored to an earlier state, or replaced. `batch_id` is the batch that was to be written
    when it was noticed, `found` what the sink holds: the same number opened at another time, or a newer one.
    """

    def __init__(self, sink: str, source: str, batch_id: int, found: BatchIdentity) -> None:
        super().__init__(
            f"sink {sink} holds batch {found} of source {source}, which its ledger does not have: "
            f"the source was restored to an earlier state (noticed at batch {batch_id})"
        )
        self.sink = sink
        self.source = source
        self.batch_id = batch_id
        self.found = found
