"""Every promise is kept by the code as it is, and broken, for all to see, by mutations of that code."""

import os
from pathlib import Path

import pytest

from bench.faults.traffic import Finding
from local.programs.environment import PROJECT
from tests.faults.mutations.bed import PACE, Bed, Replacement, run
from tests.faults.mutations.mutants import MUTANTS, Mutant
from tests.faults.mutations.scenarios import SCENARIOS

slow = pytest.mark.skipif("PGEVENTS_SLOW" not in os.environ, reason="takes minutes; PGEVENTS_SLOW=1 runs it")


def play(bed: Bed, folder: Path, name: str, replacements: tuple[Replacement, ...] = ()) -> list[Finding]:
    scenario = SCENARIOS[name]
    with run(bed, folder, replacements, scenario.weather, scenario.installed) as running:
        found = scenario.play(running)
    print((folder / "lambdas.log").read_text()[-3000:])
    return found


@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_found_in_the_code_as_it_is(bed: Bed, tmp_path: Path, name: str) -> None:
    assert play(bed, tmp_path, name) == []


@pytest.mark.parametrize(
    "mutant", [mutant for mutant in MUTANTS if mutant.always], ids=lambda mutant: mutant.name
)
def test_a_mutation_is_found(bed: Bed, tmp_path: Path, mutant: Mutant) -> None:
    found = play(bed, tmp_path, mutant.scenario, mutant.replacements)
    assert {finding.kind for finding in found} & mutant.shows


@slow
@pytest.mark.parametrize(
    "mutant", [mutant for mutant in MUTANTS if not mutant.always], ids=lambda mutant: mutant.name
)
def test_a_further_mutation_is_found(bed: Bed, tmp_path: Path, mutant: Mutant) -> None:
    found = play(bed, tmp_path, mutant.scenario, mutant.replacements)
    assert {finding.kind for finding in found} & mutant.shows


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_what_is_mutated_is_still_there(mutant: Mutant) -> None:
    for each in PACE + mutant.replacements:
        assert (PROJECT / each.path).read_text().count(each.old) == 1, each.path


def test_each_promise_has_a_mutation_that_is_always_tried() -> None:
    assert {mutant.promise for mutant in MUTANTS if mutant.always} == set(range(1, 11))
