"""The attack's short form: every group of faults is there, and which of its kinds and seeds changes daily.

`./pgevents bench faults --minutes N` is the long form. PGEVENTS_ATTACK_SECONDS sets how long this one starts
runs, PGEVENTS_ATTACK_DAY which day's choice it makes.
"""

import itertools
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from bench.faults.campaign import campaign, choose, line
from bench.faults.worker import Task

SECONDS = float(os.environ.get("PGEVENTS_ATTACK_SECONDS", "150"))
DAY = int(os.environ.get("PGEVENTS_ATTACK_DAY", str(int(time.time() // 86_400))))
WORKERS = 2
FEWEST = 8


def of_the_day(day: int) -> Iterator[Task]:
    """One kind of each group, then another one of each, in an order that the day decides."""
    groups: dict[str, list[str]] = defaultdict(list)
    for kind in choose(None):
        groups[kind.group].append(kind.name)
    random = Random(day)
    for names in groups.values():
        random.shuffle(names)
    order = list(groups.values())
    random.shuffle(order)
    for round_ in itertools.zip_longest(*order):
        for name in filter(None, round_):
            yield Task(name, day)


@pytest.mark.timeout(900)
def test_faults_of_every_group_lose_nothing_double_nothing_and_leave_nothing_behind(tmp_path: Path) -> None:
    results = list(campaign(of_the_day(DAY), tmp_path / "evidence", WORKERS, SECONDS / 60, FEWEST))
    for result in results:
        print(line(result))
    bad = [line(result) for result in results if result.outcome not in ("held", "did not strike")]
    assert bad == []
    held = [result for result in results if result.outcome == "held"]
    assert len(held) > len(results) / 2
