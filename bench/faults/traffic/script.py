"""What each writer will do: a stream of transactions that follows from the seed alone.

Nothing in it depends on what the database answers, so that the same seed gives the same statements however
many of them fail. Each transaction has its own source of chance: one can be looked at without those before.
"""

from collections.abc import Iterator
from random import Random
from typing import Literal

import msgspec

from bench.faults.traffic import statements
from bench.faults.traffic.steps import Block, Step

Ending = Literal["commit", "roll back", "prepare, commit", "prepare, roll back"]

_ENDINGS: dict[Ending, int] = {"commit": 84, "roll back": 8, "prepare, commit": 5, "prepare, roll back": 3}
_SERIALIZABLE = 0.1
_REPLICA = 0.06
_BLOCK = 0.3
_BLOCK_UNDONE = 0.4
_DEEPEST = 3
_LONGEST_PREPARED_MS = 400


class Transaction(msgspec.Struct, frozen=True):
    """One transaction of a writer.

    `name` marks its rows. `prepared_ms` is how long it stays prepared, where it ends by two-phase commit.
    """

    name: str
    writer: int
    number: int
    isolation: Literal["read committed", "repeatable read", "serializable"]
    replica: bool
    steps: list[Step]
    ending: Ending
    prepared_ms: int = 0


def transactions(
    seed: int, writer: int, huge_every: int = 0, huge_rows: int = 10_000
) -> Iterator[Transaction]:
    """The transactions of one writer, without end. Every `huge_every`-th one changes `huge_rows` rows and
    more.
    """
    number = 0
    while True:
        number += 1
        huge = huge_rows if huge_every and number % huge_every == 0 else 0
        yield transaction(seed, writer, number, huge)


def transaction(seed: int, writer: int, number: int, huge_rows: int = 0) -> Transaction:
    """One transaction by its number, a huge one where `huge_rows` says so."""
    random = Random(f"{seed} {writer} {number} {huge_rows}")
    (ending,) = random.choices(list(_ENDINGS), list(_ENDINGS.values()))
    isolation = "serializable" if random.random() < _SERIALIZABLE else "read committed"
    if isolation == "read committed" and random.random() < _SERIALIZABLE:
        isolation = "repeatable read"
    replica = random.random() < _REPLICA
    steps = list(statements.huge(random, huge_rows)) if huge_rows else _steps(random, 0)
    return Transaction(
        name=f"{seed}.{writer}.{number}",
        writer=writer,
        number=number,
        isolation=isolation,  # type: ignore[arg-type]
        replica=replica,
        steps=steps,
        ending=ending,
        prepared_ms=random.randint(0, _LONGEST_PREPARED_MS) if ending.startswith("prepare") else 0,
    )


def _steps(random: Random, depth: int) -> list[Step]:
    steps: list[Step] = []
    for _ in range(random.choice((1, 1, 2, 3, 5))):
        if depth < _DEEPEST and random.random() < _BLOCK:
            steps.append(Block(_steps(random, depth + 1), random.random() < _BLOCK_UNDONE))
        else:
            steps += statements.some(random)
    return steps
