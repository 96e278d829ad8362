"""What came of one run."""

from typing import Literal

import msgspec

Outcome = Literal["held", "broken", "did not strike", "harness failed"]


class Harm(msgspec.Struct):
    """What a run did to the promises: numbers of rows or events, none of which may be above zero.

    `appeared` are rows that were rolled back or never written, `stuck` events that were never applied,
    `refused` statements of the application that capture failed.
    """

    lost: int = 0
    duplicated: int = 0
    out_of_order: int = 0
    appeared: int = 0
    stuck: int = 0
    refused: int = 0

    def __bool__(self) -> bool:
        return any(msgspec.structs.astuple(self))

    def __add__(self, other: "Harm") -> "Harm":
        return Harm(
            *map(sum, zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True))
        )


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One run: a kind of fault with a seed, on a commit.

    Times are in seconds; `phases` says where they went.
    """

    kind: str
    seed: int
    outcome: Outcome
    struck: int = 0
    changes: int = 0
    harm: Harm = msgspec.field(default_factory=Harm)
    details: list[str] = []
    phases: dict[str, float] = {}
    evidence: str = ""
    commit: str = ""
