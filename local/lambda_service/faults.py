"""Faults to order: what may happen to an event or to a call between a caller and a function."""

import random
from collections.abc import Collection
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

EventFault = Literal["drop", "duplicate", "delay", "reorder"]
CallFault = Literal["refuse", "hang"]

EVENT_FAULTS: tuple[EventFault, ...] = ("drop", "duplicate", "delay", "reorder")
CALL_FAULTS: tuple[CallFault, ...] = ("refuse", "hang")


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One kind of fault and whom it strikes.

    Of an asynchronous event, which is accepted all the same:
    drop        it is never delivered
    duplicate   it is delivered twice
    delay       it is delivered `seconds` later
    reorder     it waits until a later event was queued before it, but no longer than `seconds`
    Of a call of the Invoke API, synchronous or not:
    refuse      it is answered with HTTP status `status` and error `error`
    hang        it is answered `seconds` later, or never when the caller hangs up first

    It strikes the first `count` payloads that contain `contains`, each with the given probability, drawn from
    a generator with `seed`, so that a run can be repeated.
    """

    kind: EventFault | CallFault
    count: Annotated[int, Meta(ge=1)] | None = None
    probability: Annotated[float, Meta(ge=0, le=1)] = 1.0
    seed: int = 0
    contains: str = ""
    seconds: Annotated[float, Meta(gt=0)] = 1.0
    status: Annotated[int, Meta(ge=400, le=599)] = 500
    error: str = "ServiceException"


class ActiveFault:
    """A fault and how often it struck."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.struck = 0
        self._random = random.Random(fault.seed)  # noqa: S311  a repeatable choice is wanted, not a secret one

    def strikes(self, payload: bytes) -> bool:
        """Whether this payload is struck."""
        fault = self.fault
        if fault.count is not None and self.struck >= fault.count:
            return False
        if fault.contains.encode() not in payload or self._random.random() >= fault.probability:
            return False
        self.struck += 1
        return True


class Faults:
    """The faults of one function. The first that strikes wins."""

    def __init__(self) -> None:
        self._active: list[ActiveFault] = []

    def add(self, fault: Fault) -> None:
        """From now on this fault strikes too."""
        self._active.append(ActiveFault(fault))

    def clear(self) -> None:
        """No more faults."""
        self._active.clear()

    def active(self) -> list[ActiveFault]:
        """The faults that were added, oldest first."""
        return list(self._active)

    def strike(self, kinds: Collection[str], payload: bytes) -> Fault | None:
        """The fault of one of these kinds that strikes this payload, if any."""
        for active in self._active:
            if active.fault.kind in kinds and active.strikes(payload):
                return active.fault
        return None
