"""Faults that a warehouse has now and then, brought about on purpose."""

import random
import re
from typing import Annotated, Literal

import msgspec

from local.redshift.refusals import SERIALIZATION, SNAPSHOT_CONFLICT, VALUE_REFUSED, Refusal

Kind = Literal[
    "serialization",
    "snapshot_conflict",
    "refuse_value",
    "drop_before",
    "drop_after",
    "delay",
    "refuse_connection",
]
ERRORS: dict[str, Refusal] = {
    "serialization": SERIALIZATION,
    "snapshot_conflict": SNAPSHOT_CONFLICT,
    "refuse_value": VALUE_REFUSED,
}


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What shall go wrong, and when.

    kind: `serialization` (error 1023) and `snapshot_conflict` fail the statement; `refuse_value` does so as
    for a value that its column cannot take (with `count` null: such a value stays refused); `drop_before`
    and `drop_after` end the connection before the statement runs, or when it has run and its client does not
    know yet; `delay` waits `seconds` before it; `refuse_connection` hangs up on a new client.
    match: a regular expression that is searched in the statement's text, case ignored.
    skip, count: leaves the first `skip` matches alone, strikes `count` of the next ones (None: all of them).
    probability, seed: strikes each with this chance; equal seeds give equal sequences.
    """

    kind: Kind
    match: str = ""
    skip: Annotated[int, msgspec.Meta(ge=0)] = 0
    count: Annotated[int, msgspec.Meta(ge=1)] | None = 1
    probability: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    seed: int = 0
    seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class _Armed:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.struck = 0
        self._skipped = 0
        self._pattern = re.compile(fault.match, re.I | re.S)
        self._random = random.Random(fault.seed)  # noqa: S311 - repeatable, not secret

    def strikes(self, sql: str) -> bool:
        if self.fault.count is not None and self.struck >= self.fault.count:
            return False
        if not self._pattern.search(sql):
            return False
        if self._skipped < self.fault.skip:
            self._skipped += 1
            return False
        if self._random.random() >= self.fault.probability:
            return False
        self.struck += 1
        return True


class Faults:
    """The faults that are armed at this moment."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []

    def arm(self, fault: Fault) -> None:
        """Adds a fault. Raises re.error for a `match` that is no regular expression."""
        self._armed.append(_Armed(fault))

    def clear(self) -> None:
        """Takes all faults back."""
        self._armed.clear()

    @property
    def struck(self) -> int:
        """How often the armed faults have struck."""
        return sum(armed.struck for armed in self._armed)

    def on_statement(self, sql: str) -> list[Fault]:
        """The faults that strike a statement."""
        armed = [one for one in self._armed if one.fault.kind != "refuse_connection"]
        return [one.fault for one in armed if one.strikes(sql)]

    def refuses_connection(self) -> bool:
        """Whether a new client is sent away."""
        return any(one.fault.kind == "refuse_connection" and one.strikes("") for one in self._armed)
