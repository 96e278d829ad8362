"""What the writer answers about a batch, as its on-success destination brings it, and what is noted of it.

Only noted: to drain here would make a chain of invocations that AWS stops after some sixteen.
"""

from datetime import datetime
from typing import Any

import msgspec

from pgevents import log
from pgevents.errors import InputError
from pgevents.event import Version
from pgevents.identity import BatchIdentity
from transform.source.outbox import Outbox


class Answer(msgspec.Struct, frozen=True):
    """An answer about one batch. One that was under way during an upgrade has neither epoch nor time."""

    source: str
    batch_id: int
    epoch: int | None = None
    opened_at: datetime | None = None

    def batch(self) -> BatchIdentity | None:
        """Which batch it is about, None when it does not say."""
        return None if self.epoch is None else BatchIdentity(self.epoch, self.batch_id, self.opened_at)


class Applied(Answer, frozen=True, kw_only=True, tag_field="kind", tag="applied"):
    """Redshift holds the batch. `newest` is the newest of its source that it held before."""

    applied_at: datetime
    newest: BatchIdentity | None = None


class RefusedChange(msgspec.Struct, frozen=True):
    """One change that Redshift can never take."""

    version: int
    reason: str


class Refused(Answer, frozen=True, kw_only=True, tag_field="kind", tag="refused"):
    """Nothing of the batch was applied, because of these changes."""

    refused: list[RefusedChange]


class Replaced(Answer, frozen=True, kw_only=True, tag_field="kind", tag="replaced"):
    """Nothing of the batch was applied: Redshift holds another one under its number."""

    found: BatchIdentity


class Failed(Answer, frozen=True, kw_only=True, tag_field="kind", tag="failed"):
    """Nothing of the batch was applied, and no single change is why. It is sent again when it is overdue."""

    error: str


class Purged(msgspec.Struct, frozen=True, tag_field="kind", tag="purged"):
    """Redshift has let go of old tokens and tombstones."""

    source: str
    tokens: int
    tombstones: int


def answer_of(answer: object) -> Applied | Refused | Replaced | Failed | Purged:
    """The writer's answer. Raises InputError for anything else."""
    try:
        return msgspec.convert(answer, Applied | Refused | Replaced | Failed | Purged)
    except msgspec.ValidationError as error:
        raise InputError(f"the writer's answer is not as the writer makes it: {error}") from error


def note(outbox: Outbox, warehouse: str, answer: Applied | Refused | Replaced | Failed) -> dict[str, Any]:
    """Notes an answer in its source; what came of that.

    Redshift may know a later state of the source than the source itself, by the batch or by what it found
    beside it. Then that alone is noted: the next drain begins a new epoch, and sends the batch again in it.
    """
    noted: dict[str, Any] = {"kind": "noted", "batch_id": answer.batch_id}
    if lost := _lost(outbox, warehouse, answer):
        log.error("warehouse holds what the source has lost", source=answer.source, lost=str(lost))
        return {**noted, "lost": str(lost)}
    match answer:
        case Applied():
            first = outbox.mark_applied(answer.batch_id, answer.applied_at, answer.epoch, answer.opened_at)
            return {**noted, "first": first}
        case Refused():
            reasons = {Version.from_number(each.version).seq: each.reason for each in answer.refused}
            outbox.refuse(answer.batch_id, reasons, answer.epoch, answer.opened_at)
            return {**noted, "refused": len(reasons)}
        case Failed():
            outbox.note_answer(
                answer.batch_id, f"{warehouse}: {answer.error}", answer.epoch, answer.opened_at
            )
            return {**noted, "failed": True}
        case Replaced():
            # The other batch is one that the source knows: the answer is late, or about what has been lost.
            return {**noted, "lost": None}


def _lost(outbox: Outbox, warehouse: str, answer: Answer) -> BatchIdentity | None:
    """A batch of which the answer tells and that the ledger has not."""
    told = [answer.batch()]
    if isinstance(answer, Applied):
        told.append(answer.newest)
    if isinstance(answer, Replaced):
        told.append(answer.found)
    return next((batch for batch in told if batch is not None and outbox.note_token(warehouse, batch)), None)
