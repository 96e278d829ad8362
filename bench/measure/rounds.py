"""Variants of one thing, measured in turn: whatever else the machine does strikes all of them."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median

import msgspec

from pgevents.errors import InputError

Tell = Callable[[str], None]


class Spread(msgspec.Struct, frozen=True):
    """The median of several measurements, with the least and the most of them."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of at least one value."""
        return cls(median(values), min(values), max(values))


class Comparison(msgspec.Struct, frozen=True):
    """Variants by name, each with what was measured in every round; `baseline` is one of them."""

    title: str
    unit: str
    baseline: str
    rounds: dict[str, list[float]]

    def value(self, variant: str) -> Spread:
        """A variant's measurements, in the comparison's unit."""
        return Spread.of(self.rounds[variant])

    def ratio(self, variant: str, to: str | None = None) -> Spread:
        """A variant against another one, or the baseline: each round's own ratio, and of these the median.

        A slow minute of the machine strikes both of a round, so it leaves their ratio alone.
        """
        pairs = zip(self.rounds[variant], self.rounds[to or self.baseline], strict=True)
        return Spread.of([measured / against for measured, against in pairs])


def interleaved(
    title: str,
    variants: Mapping[str, Callable[[], float]],
    *,
    unit: str,
    baseline: str,
    rounds: int,
    tell: Tell | None = None,
    before: Callable[[str], None] | None = None,
) -> Comparison:
    """Measures every variant in every round: forwards, then backwards, so that none always comes first.

    Raises InputError for fewer than one round, KeyError when no variant has the baseline's name.
    """
    if rounds < 1:
        raise InputError(f"--rounds {rounds}: at least one is needed")
    measured: dict[str, list[float]] = {name: [] for name in variants}
    measured[baseline].clear()
    for number in range(rounds):
        names = list(variants)[:: 1 if number % 2 == 0 else -1]
        for name in names:
            if before is not None:
                before(name)
            measured[name].append(variants[name]())
        if tell is not None:
            shown = ", ".join(f"{name} {values[-1]:,.4g}" for name, values in measured.items())
            tell(f"{title}, round {number + 1} of {rounds}: {shown} {unit}")
    return Comparison(title, unit, baseline, measured)
