"""Which batch it is: what a sink's token says, and what the ledger of the source must say alike.

A source that is restored to an earlier state gives the numbers of the batches that it has forgotten to other
batches. The moment at which a batch was opened tells them apart: it is in the ledger and in every token.
"""

from datetime import datetime

import msgspec


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
