"""Benches measure in turn, compare each round with itself, and say what was met."""

import argparse
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import measure
from bench.measure import (
    Comparison,
    Facts,
    Report,
    Spread,
    Target,
    command,
    interleaved,
    pgbench,
    plot,
    publishing,
)
from local.programs import ProgramFailed
from pgevents.errors import InputError

FACTS = Facts("2026-11-28", "abc1234", 2, "A processor", 8.0, "Linux 6", 0.5, {"PostgreSQL": "18.4"})
PAIR = Comparison(
    "Counting", "counts/s", "plain", {"plain": [100.0, 50.0, 200.0], "counted": [90.0, 40.0, 190.0]}
)


def test_variants_are_measured_in_turn_forwards_and_backwards() -> None:
    seen: list[str] = []

    def variant(name: str, value: float) -> float:
        seen.append(name)
        return value

    found = interleaved(
        "Turns",
        {"a": lambda: variant("a", 1.0), "b": lambda: variant("b", 2.0)},
        unit="x",
        baseline="a",
        rounds=3,
        before=lambda name: seen.append(f"before {name}"),
    )
    assert [name for name in seen if "before" not in name] == ["a", "b", "b", "a", "a", "b"]
    assert seen[:2] == ["before a", "a"]
    assert found.rounds == {"a": [1.0] * 3, "b": [2.0] * 3}


def test_a_baseline_that_is_no_variant_is_an_error() -> None:
    with pytest.raises(KeyError):
        interleaved("Turns", {"a": lambda: 1.0}, unit="x", baseline="b", rounds=1)


def test_ratios_are_those_of_each_round() -> None:
    # Of the medians it would be 0.9 too; of the second round it is 0.8, in the slow minute of both.
    assert PAIR.ratio("counted") == Spread(0.9, 0.8, 0.95)
    assert PAIR.ratio("plain", to="counted").median == pytest.approx(100 / 90)
    assert PAIR.value("plain") == Spread(100.0, 50.0, 200.0)


@pytest.mark.parametrize(
    ("value", "order", "met"),
    [
        (0.92, ">=", True),
        (0.919, ">=", False),
        (0.92, "<=", True),
        (0.93, "<=", False),
        (float("nan"), ">=", False),
    ],
)
def test_a_target_is_met_on_its_side_of_the_bound(
    value: float, order: measure.report.Order, met: bool
) -> None:
    assert Target("kept", value, order, 0.92).met is met


def report(kept: float = 0.9) -> Report:
    made = Report("counting", FACTS)
    made.compare(PAIR)
    made.target("counted keeps", kept, ">=", 0.85)
    made.figure("WAL a change", 912, "bytes")
    made.skip("PgQ", "not installed")
    return made


def test_json_is_one_line_with_rounds_ratios_and_targets() -> None:
    line = report().json()
    assert "\n" not in line
    found = json.loads(line)
    assert found["targets_met"] is True
    assert found["targets"][0] == {
        "name": "counted keeps", "value": 0.9, "order": ">=", "bound": 0.85, "unit": "", "met": True,
    }  # fmt: skip
    variant = found["comparisons"][0]["variants"]["counted"]
    assert variant["rounds"] == [90.0, 40.0, 190.0]
    assert variant["ratio"]["median"] == 0.9
    assert found["facts"]["commit"] == "abc1234"
    assert found["skipped"] == {"PgQ": "not installed"}


def test_the_table_says_machine_ratio_and_what_was_missed() -> None:
    text = report(kept=0.5).text()
    assert "2 cores of A processor" in text
    assert "skipped: PgQ (not installed)" in text
    (row,) = [line for line in text.splitlines() if line.startswith("counted keeps")]
    assert row.split()[-4:] == ["≥", "0.85", "NOT", "MET"]
    (row,) = [line for line in text.splitlines() if line.startswith("counted ") and "keeps" not in line]
    assert row.split() == ["counted", "90.0", "40.0", "to", "190", "0.90", "0.80", "to", "0.95"]


@pytest.mark.parametrize(("kept", "code"), [(0.9, 0), (0.5, 1)])
def test_exit_code_says_whether_targets_are_met(
    kept: float, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    args = argparse.Namespace(json=True, publish=False, quick=False)
    assert measure.conclude(report(kept), args) == code
    assert capsys.readouterr().out.count("\n") == 1


def test_common_arguments() -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert measure.rounds(parser.parse_args([]), usual=7) == 7
    assert measure.rounds(parser.parse_args(["--quick"]), usual=7) == 2
    assert measure.rounds(parser.parse_args(["--quick", "--rounds", "5"]), usual=7) == 5
    with pytest.raises(InputError, match="--rounds 0"):
        measure.rounds(parser.parse_args(["--rounds", "0"]), usual=7)


def test_a_quick_run_is_not_published(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="--quick"):
        measure.conclude(report(), argparse.Namespace(json=True, publish=True, quick=True))


def test_publishing_replaces_the_section_of_its_bench_and_writes_its_plots(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("# Page\n<!-- bench counting: begin -->\nold\n<!-- bench counting: end -->\nafter\n")
    publishing.publish(report(), page)
    publishing.publish(report(), page)
    text = page.read_text()
    assert "old" not in text
    assert text.endswith("<!-- bench counting: end -->\nafter\n")
    assert text.count("| counted | 90.0 | 40.0 to 190 | 0.90 | 0.80 to 0.95 |") == 1
    assert "![Counting](plots/counting-counting.svg)" in text
    assert (tmp_path / "plots" / "counting-counting.svg").is_file()


def test_a_page_without_a_place_for_the_bench_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("<!-- bench counting: end -->\n<!-- bench counting: begin -->\n")
    with pytest.raises(InputError, match="bench counting: begin"):
        publishing.publish(report(), page)


def test_bars_are_as_long_as_their_medians() -> None:
    drawn = ElementTree.fromstring(plot.bars(PAIR))
    widths = [float(bar.attrib["width"]) for bar in drawn.iter("{http://www.w3.org/2000/svg}rect")]
    assert widths[1] / widths[0] == pytest.approx(0.9, rel=0.01)


def test_the_longest_name_has_room_beside_the_bars() -> None:
    long = "x" * 60
    drawn = ElementTree.fromstring(plot.bars(Comparison("Names", "1/s", long, {long: [1.0]})))
    [name] = [each for each in drawn.iter("{http://www.w3.org/2000/svg}text") if each.text == long]
    assert float(name.attrib["x"]) > 60 * 7.5


def test_facts_are_this_machines() -> None:
    found = measure.facts(PostgreSQL="18.4")
    assert found.cores >= 1
    assert found.memory_gb > 0.1
    assert list(found.versions) == ["PostgreSQL", "Python"]


def test_figures_of_pgbench_are_read_from_its_report() -> None:
    output = (
        "number of transactions actually processed: 4711\nnumber of failed transactions: 0 (0.000%)\n"
        "latency average = 3.396 ms\ninitial connection time = 3.5 ms\n"
        "tps = 4711.25 (without initial connection time)\n"
    )
    assert pgbench.parsed(output) == pgbench.Run(transactions=4711, rate=4711.25, latency_ms=3.396)
    with pytest.raises(ProgramFailed, match="rate"):
        pgbench.parsed(output.replace("tps", "t p s"))
