"""The benches of the drain and the transform run, on little, and measure what they say."""

import json
from typing import Any

import pytest

from ops import cli


def measured(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What a bench prints for a program."""
    code = cli.main(["bench", *arguments, "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert code == (0 if found["targets_met"] else 1)
    return found


def test_backlog_is_read_in_every_way(capsys: pytest.CaptureFixture[str]) -> None:
    found = measured(capsys, "drain", "--events", "2000", "--rounds", "1")
    (reading,) = found["comparisons"]
    assert len(reading["variants"]) == 4
    assert all(variant["value"]["median"] > 0 for variant in reading["variants"].values())
    assert [target["name"] for target in found["targets"]] == ["events a second, median"]


def test_sustained_load_is_taken_from_both_outboxes(capsys: pytest.CaptureFixture[str]) -> None:
    found = measured(capsys, "drain", "--minutes", "0.05", "--rate", "200")
    figures = {figure["name"]: figure["value"] for figure in found["figures"]}
    assert figures["the drain: events"] > 0
    assert figures["jsonb, SKIP LOCKED and DELETE: events"] > 0


def test_events_are_routed_and_encoded_in_every_way(capsys: pytest.CaptureFixture[str]) -> None:
    found = measured(capsys, "transform", "--quick", "--rounds", "1")
    assert [len(comparison["variants"]) for comparison in found["comparisons"]] == [3, 3]
    (small,) = [target for target in found["targets"] if target["name"] == "rows an invoke, of plain JSON's"]
    assert small["met"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["drain", "--events", "10"], "--events 10: at least 1,000 are needed"),
        (["drain", "--minutes", "-1"], "--minutes must be more than 0"),
        (["drain", "--minutes", "1", "--rate", "1"], "--rate at least 100"),
    ],
)
def test_wrong_numbers_are_one_line_and_code_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bench", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
