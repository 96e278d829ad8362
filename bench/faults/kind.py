"""A kind of fault: what it is called, which promises it attacks, and how it strikes."""

from collections.abc import Callable, Generator
from random import Random
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from bench.faults.arena import Arena

Attack = Callable[["Arena", Random], Generator[None, None, int]]
"""How a fault strikes, in parts that `yield` divides: what is armed before the traffic begins, what strikes
while it goes on, what is put right when it has ended. After the third `yield` everything has been applied, or
never will be; the attack then returns how often it struck."""


Witness = Literal["all", "snapshots", "rows"]
"""What the record of the traffic can tell of a run: everything; what a history holds, but for rows that were
sent again as they stood; or nothing, since the record itself was restored, so that only rows are compared."""


class Kind(NamedTuple):
    """One kind of fault. `promises` are the numbers of those in DESIGN.md that it could break; `shards` is
    how many each source has."""

    name: str
    group: str
    promises: tuple[int, ...]
    attack: Attack
    witness: Witness = "all"
    shards: int = 1


KINDS: dict[str, Kind] = {}


def kind(
    name: str, group: str, promises: tuple[int, ...], *, witness: Witness = "all", shards: int = 1
) -> Callable[[Attack], Attack]:
    """Registers an attack under a name that nothing else has, without a comma: --kinds separates by these."""

    def register(attack: Attack) -> Attack:
        if name in KINDS or "," in name:
            raise ValueError(f"two kinds of fault are called {name}, or there is a comma in it")
        KINDS[name] = Kind(name, group, promises, attack, witness, shards)
        return attack

    return register


class DidNotStrike(Exception):
    """The fault could not be brought about: such a run proves nothing and is counted apart."""
