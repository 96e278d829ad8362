"""The tables of docs/reference/faults.md and README.md say what the results say, and nothing else."""

from pathlib import Path

import pytest

from bench.faults import report
from bench.faults.kinds import KINDS
from bench.faults.result import Harm, Result

NAMES = list(KINDS)[:2]


def result(kind: str, outcome: str, **harm: int) -> Result:
    return Result(kind=kind, seed=1, outcome=outcome, struck=2, changes=100, harm=Harm(**harm))  # type: ignore[arg-type]


def test_runs_whose_fault_did_not_strike_prove_nothing() -> None:
    campaign = report.summed([result(NAMES[0], "held"), result(NAMES[0], "did not strike")])
    tally = campaign.kinds[NAMES[0]]
    assert (tally.runs, tally.idle, tally.changes) == (1, 1, 100)


def test_what_was_harmed_stands_out_in_the_table() -> None:
    campaign = report.summed(
        [result(NAMES[0], "held"), result(NAMES[1], "broken", lost=3, duplicated=1, appeared=2, refused=4)],
    )
    rows = report.reference(campaign).splitlines()
    assert any(NAMES[1] in row and row.endswith("| **3** | **3** | 0 | **4** |") for row in rows)
    assert any(NAMES[0] in row and row.endswith("| 0 | 0 | 0 | 0 |") for row in rows)


def test_a_campaign_that_is_added_counts_beside_the_one_before() -> None:
    first = report.summed([result(NAMES[0], "held"), result(NAMES[1], "broken", lost=1)])
    both = report.both(first, report.summed([result(NAMES[1], "broken", lost=2, stuck=1)]))
    assert list(both.kinds) == NAMES
    assert (both.kinds[NAMES[0]].runs, both.kinds[NAMES[1]].runs) == (1, 2)
    assert both.kinds[NAMES[1]].harm == Harm(lost=3, stuck=1)
    assert first.kinds[NAMES[1]].harm == Harm(lost=1)


@pytest.mark.skipif(not report.RESULTS.exists(), reason="no campaign was published yet")
def test_the_published_tables_are_those_of_the_published_results() -> None:
    campaign = report.read()
    assert report.REFERENCE.read_text() == report.reference(campaign)
    text = Path(report.README).read_text()
    assert "<!-- bench faults: begin -->" not in text or report.table(campaign) in text
