"""The kinds of fault: what they name is there, and they are as many and as different as they claim to be."""

import importlib

import pytest

from bench.faults.boundaries import BOUNDARIES, LOADING_A_FILE, OF_SHARDS, Boundary
from bench.faults.evidence import slug
from bench.faults.kind import kind
from bench.faults.kinds import KINDS


@pytest.mark.parametrize(
    "boundary",
    [*BOUNDARIES.values(), *OF_SHARDS.values(), LOADING_A_FILE],
    ids=[*BOUNDARIES, *OF_SHARDS, "loading a file"],
)
def test_every_boundary_names_a_function_of_the_code(boundary: Boundary) -> None:
    module, path = boundary.target.split(":")
    found = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    assert callable(found)


def test_there_are_kinds_enough_in_every_group_that_was_promised() -> None:
    assert len(KINDS) >= 50
    assert len({kind.group for kind in KINDS.values()}) >= 10


def test_every_kind_has_a_file_name_of_its_own() -> None:
    assert len({slug(name) for name in KINDS}) == len(KINDS)


def test_every_kind_says_which_promises_it_attacks() -> None:
    assert {promise for kind in KINDS.values() for promise in kind.promises} >= {1, 2, 3, 4, 5}
    assert all(kind.promises and set(kind.promises) <= set(range(1, 11)) for kind in KINDS.values())


def test_a_kind_cannot_take_the_place_of_another() -> None:
    name = next(iter(KINDS))
    with pytest.raises(ValueError, match=name):
        kind(name, "group", (1,))(KINDS[name].attack)
