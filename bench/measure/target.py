"""What a figure has to come to."""

from typing import Literal

import msgspec

Order = Literal[">=", "<="]


class Target(msgspec.Struct, frozen=True):
    """A figure by name, and its bound. A ratio has no unit."""

    name: str
    value: float
    order: Order
    bound: float
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the figure is on the right side of its bound. One that is not a number never is."""
        return self.value >= self.bound if self.order == ">=" else self.value <= self.bound

    @property
    def wanted(self) -> str:
        """The bound for people: `≥ 0.92`."""
        return f"{'≥' if self.order == '>=' else '≤'} {number(self.bound)}{self.unit and ' ' + self.unit}"


def number(value: float) -> str:
    """A number for people: thousands without a fraction, small ones with two digits that mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2g}" if 0 < abs(value) < 0.1 else f"{value:.2f}"
