"""Finding what is refused among many, in few questions."""

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redshift_writer.bisection import Bisection


class Server:
    """Refuses what holds a bad item, and counts how often it was asked."""

    def __init__(self, bad: set[int], together: frozenset[int] = frozenset()) -> None:
        self.bad = bad
        self.together = together
        self.asked = 0

    def __call__(self, items: Sequence[int]) -> Exception | None:
        self.asked += 1
        found = self.bad.intersection(items)
        if found:
            return ValueError(f"bad: {min(found)}")
        return ValueError("not both") if self.together and self.together <= set(items) else None


def search(
    server: Server, items: Sequence[int], untried: Sequence[int] = (), most: int = 100
) -> Bisection[int]:
    bisection: Bisection[int] = Bisection(server, most, lambda item: False)
    bisection.search(items, untried)
    return bisection


def found(bisection: Bisection[int]) -> list[int]:
    return [item for item, _ in bisection.refused]


@pytest.mark.parametrize("position", [0, 1, 4_999, 5_000, 7_776, 9_998, 9_999])
def test_one_bad_item_among_ten_thousand_takes_few_questions(position: int) -> None:
    server = Server({position})
    assert found(search(server, range(10_000))) == [position]
    assert server.asked <= math.ceil(math.log2(10_000)) + 2


def test_every_position_is_found_within_the_bound() -> None:
    for size in (1, 2, 3, 7, 100):
        for position in range(size):
            server = Server({position})
            assert found(search(server, range(size))) == [position]
            assert server.asked <= math.ceil(math.log2(size)) + 2


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 300), st.integers(0, 300), st.integers(0, 2**32))
def test_all_bad_items_are_found_wherever_they_are(size: int, untried: int, seed: int) -> None:
    chance = random.Random(seed)
    total = size + untried
    bad = set(chance.sample(range(total), chance.randint(1, min(total, 100))))
    bad.add(chance.randrange(size))
    server = Server(bad)
    bisection = search(server, range(size), range(size, total), most=total)
    assert sorted(found(bisection)) == sorted(bad)
    assert not bisection.unexplained
    assert all(f"{error}" == f"bad: {item}" for item, error in bisection.refused)


def test_many_bad_items_side_by_side_take_some_questions_each() -> None:
    server = Server(set(range(4_000, 4_100)))
    assert len(found(search(server, range(10_000)))) == 100
    assert server.asked < 100 * 3


def test_search_ends_when_enough_are_found() -> None:
    server = Server(set(range(10_000)))
    assert len(found(search(server, range(10_000), most=10))) == 10
    assert server.asked < 10 * 4 + 14


def test_items_that_fail_only_together_are_named_by_nobody() -> None:
    server = Server(set(), frozenset({3, 90}))
    bisection = search(server, range(100))
    assert found(bisection) == []
    assert bisection.unexplained


def test_search_ends_at_once_when_nothing_at_all_is_taken() -> None:
    server = Server(set(range(10_000)))
    bisection: Bisection[int] = Bisection(server, 100, lambda item: True)
    bisection.search(range(10_000))
    assert bisection.unexplained
    assert found(bisection) == []
    assert server.asked < 16


def test_whether_anything_is_taken_is_asked_only_when_nothing_was() -> None:
    asked: list[int] = []
    bisection: Bisection[int] = Bisection(Server({7}), 100, lambda item: bool(asked.append(item)))  # type: ignore[func-returns-value]
    bisection.search(range(100))
    assert (found(bisection), asked) == ([7], [])
