"""`bench peers` in its tiniest form: on the embedded server, which the packaged peers are not built for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.measure import Report, facts
from bench.peers import capturing, end_to_end
from bench.peers.bed import Bed
from bench.peers.latency import percentiles
from bench.peers.londiste import Londiste
from bench.peers.naive import JsonNotify, JsonOutbox
from bench.peers.native import NativeLogical
from bench.peers.ours import Ours
from bench.peers.peer import Peer, Replicator, command
from local.postgres.binaries import embedded

ALL: set[type[Peer]] = {*capturing.CAPTURING, *end_to_end.REPLICATING}
PACKAGED = sorted((kind for kind in ALL if kind.packages), key=lambda kind: kind.name)


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with Bed(embedded(), tmp_path / "bed", settings=capturing.SETTINGS, durable=False) as bed:
        yield bed


@pytest.fixture
def report() -> Report:
    return Report("peers", facts())


def silent(line: str) -> None:
    """Progress that nobody reads."""


def test_what_capturing_costs_is_measured_beside_what_needs_no_package(bed: Bed, report: Report) -> None:
    capturing.measure(report, bed, 1, capturing.Extent(runs_each=2, rows=20), silent)
    measured = {capturing.UNTRIGGERED, Ours.name, NativeLogical.name, JsonOutbox.name, JsonNotify.name}
    assert [set(each.rounds) for each in report.comparisons] == [measured] * 3
    wal = {figure.name: figure.value for figure in report.figures}
    assert wal["WAL a change, ours"] > wal["WAL a change, no trigger"] > 0
    assert wal["WAL a change, row trigger, jsonb outbox"] > wal["WAL a change, ours"]
    assert set(report.skipped) == {kind.name for kind in capturing.CAPTURING if kind.packages}


def test_a_backlog_and_single_commits_arrive_by_ours_and_by_native_replication(
    bed: Bed, report: Report
) -> None:
    end_to_end.measure(report, bed, 1, end_to_end.Extent(changes=160, seconds=2.0, rate=80.0), silent)
    (sustained,) = report.comparisons
    assert set(sustained.rounds) == {Ours.name, NativeLogical.name}
    assert all(rate > 0 for rates in sustained.rounds.values() for rate in rates)
    latencies = {figure.name: figure.value for figure in report.figures}
    for name in (Ours.name, NativeLogical.name):
        assert (
            0 <= latencies[f"commit to visible, p50, {name}"] <= latencies[f"commit to visible, p99, {name}"]
        )
    assert [target.name for target in report.targets] == [f"End to end: ours beside {NativeLogical.name}"]


@pytest.mark.parametrize("kind", PACKAGED, ids=lambda kind: kind.__name__)
def test_a_peer_that_is_not_installed_is_answered_with_one_line_that_names_its_packages(
    kind: type[Peer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no dpkg-query: as on a machine without Debian's packages
    with Bed(embedded(), tmp_path / "bed") as bed:
        assert bed.lacks(kind) == f"not installed: {', '.join(kind.packages)}"


def test_a_peer_that_fails_is_left_out_and_said_why(
    bed: Bed, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(JsonOutbox):
        name = "broken"

        def set_up(self) -> None:
            command("/nowhere/setup")

    monkeypatch.setattr(capturing, "CAPTURING", (Broken,))
    capturing.measure(report, bed, 1, capturing.Extent(runs_each=1, rows=1), silent)
    assert report.skipped == {"broken": "/nowhere/setup is not there"}
    assert set(report.comparisons[0].rounds) == {capturing.UNTRIGGERED}


def test_percentiles_are_of_the_sorted_latencies() -> None:
    assert percentiles([float(each) for each in range(100, 0, -1)]) == (51.0, 100.0)


def test_every_replicating_peer_is_measured_for_what_it_captures_too() -> None:
    triggers_of_another = {kind for kind in end_to_end.REPLICATING if issubclass(kind, Londiste)}
    assert {*end_to_end.REPLICATING} - triggers_of_another <= {*capturing.CAPTURING}
    assert all(issubclass(kind, Replicator) for kind in end_to_end.REPLICATING)
