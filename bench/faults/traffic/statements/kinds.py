"""The kinds of statements, each with a weight, and what they are made of."""

from collections.abc import Callable
from random import Random

from bench.faults.traffic.steps import Parameter, Statement, Step

Make = Callable[[Random], list[Step]]

KINDS: list[tuple[Make, int]] = []
"""Every kind with its weight."""

HOT_KEYS = 40
MANY_ROWS = 40


def kind(weight: int) -> Callable[[Make], Make]:
    """Registers a kind of statement; a higher weight makes it more frequent."""

    def register(make: Make) -> Make:
        KINDS.append((make, weight))
        return make

    return register


def some(random: Random) -> list[Step]:
    """One kind, chosen by chance: the one or few steps that belong together."""
    makes, weights = zip(*KINDS, strict=True)
    make: Make = random.choices(makes, weights)[0]
    return make(random)


def key(random: Random) -> int:
    """One of the few keys that all writers meet on."""
    return random.randint(1, HOT_KEYS)


def new_key(random: Random) -> int:
    """A key that hardly anybody else takes."""
    return random.randint(10**3, 10**9)


def pair(random: Random) -> tuple[int, int]:
    """Two different keys, in any order."""
    first, second = random.sample(range(1, HOT_KEYS + 1), 2)
    return first, second


def one(query: str, *parameters: Parameter) -> list[Step]:
    """A single statement."""
    return [Statement(query, parameters)]
