"""The judge passes what is right, and names each way in which a history can be wrong."""

from collections.abc import Callable

import msgspec
import pytest

from bench.faults.traffic.judging import Kept, judge_history, judge_source
from bench.faults.traffic.record import Record, RowChange, SourceRecord
from bench.faults.traffic.tables import TrafficTable

TABLE, SETTLING = TrafficTable("account", ("id",)), TrafficTable("seat", ("id",), settles=True)
CHANGES = [
    RowChange("I", "t1", None, ("1",), 10, 0),
    RowChange("I", "t1", None, ("2",), 11, 0),
    RowChange("U", "t2", ("1",), ("1",), 10, 1),
    RowChange("U", "t3", ("1",), ("5",), 10, 2),
    RowChange("D", "t3", ("2",), None, 11, 0),
    RowChange("T", "t4", None, None, 0, 0),
    RowChange("I", "t5", None, ("2",), 12, 0),
    RowChange("U", "t5", ("2",), ("2",), 12, 1),
]
SOURCE = SourceRecord(
    frozenset({"t1", "t2", "t3", "t4", "t5"}),
    frozenset({"t1"}),
    frozenset({"t0"}),
    {"account": CHANGES, "seat": CHANGES},
)


def history() -> list[Kept]:
    """What a sink holds that has taken every change."""
    return [
        Kept(1, "INSERT", ("1",), 10, 0, "t1"),
        Kept(2, "INSERT", ("2",), 11, 0, "t1"),
        Kept(3, "INSERT", ("1",), 10, 1, "t2"),
        Kept(4, "DELETE", ("1",)),
        Kept(4, "INSERT", ("5",), 10, 2, "t3"),
        Kept(5, "DELETE", ("2",)),
        Kept(6, "DELETE", None),
        Kept(7, "INSERT", ("2",), 12, 0, "t5"),
        Kept(8, "INSERT", ("2",), 12, 1, "t5"),
    ]


def lose(position: int) -> Callable[[list[Kept]], None]:
    return lambda kept: kept.pop(position) and None


def add(row: Kept) -> Callable[[list[Kept]], None]:
    return lambda kept: kept.append(row)


def exchange(one: int, other: int) -> Callable[[list[Kept]], None]:
    """Two changes with each other's versions."""

    def exchanged(kept: list[Kept]) -> None:
        versions = kept[one].version, kept[other].version
        kept[one], kept[other] = (
            kept[at]._replace(version=v) for at, v in zip((one, other), versions[::-1], strict=True)
        )

    return exchanged


WRONG: dict[str, tuple[Callable[[list[Kept]], None], str]] = {
    "an insert is lost": (lose(0), "lost"),
    "an update is lost": (lose(2), "lost"),
    "a deletion is lost": (lose(5), "lost"),
    "the old key of a key change stays": (lose(3), "lost"),
    "a TRUNCATE is lost": (lose(6), "lost"),
    "an update comes twice": (add(Kept(9, "INSERT", ("2",), 12, 1, "t5")), "twice"),
    "a deletion comes twice": (add(Kept(9, "DELETE", ("1",))), "twice"),
    "a TRUNCATE comes twice": (add(Kept(9, "DELETE", None)), "twice"),
    "the same change is kept twice": (add(Kept(8, "INSERT", ("2",), 12, 1, "t5")), "twice"),
    "two updates of a row are exchanged": (exchange(0, 2), "out of order"),
    "a row comes before the TRUNCATE that it followed": (exchange(6, 7), "out of order"),
    "a change that was rolled back appears": (add(Kept(9, "INSERT", ("9",), 13, 0, "t0")), "rolled back appeared"),
    "a row that nobody wrote appears": (add(Kept(9, "INSERT", ("9",), 99, 0, "t1")), "never written"),
}  # fmt: skip


def test_a_history_that_is_right_is_passed_in_any_order_of_its_rows() -> None:
    assert judge_history("sink", SOURCE, TABLE, reversed(history())) == []


@pytest.mark.parametrize(("spoil", "kind"), WRONG.values(), ids=WRONG)
def test_a_history_that_is_wrong_is_found(spoil: Callable[[list[Kept]], None], kind: str) -> None:
    kept = history()
    spoil(kept)
    assert kind in {finding.kind for finding in judge_history("sink", SOURCE, TABLE, kept)}


def test_a_row_written_again_as_it_stands_is_passed_where_snapshots_are_taken() -> None:
    kept = [*history(), Kept(9, "INSERT", ("2",), 12, 1, "t5"), Kept(9, "DELETE", None)]
    assert judge_history("sink", SOURCE, TABLE, kept, snapshots=True) == []


@pytest.mark.parametrize("name", [name for name in WRONG if "TRUNCATE" not in name and "twice" not in name])
def test_what_is_wrong_is_found_where_snapshots_are_taken_too(name: str) -> None:
    spoil, kind = WRONG[name]
    kept = history()
    spoil(kept)
    assert kind in {finding.kind for finding in judge_history("sink", SOURCE, TABLE, kept, snapshots=True)}


def test_an_old_version_written_again_is_found_where_snapshots_are_taken() -> None:
    kept = [*history(), Kept(9, "INSERT", ("2",), 12, 0, "t5")]
    assert [finding.kind for finding in judge_history("sink", SOURCE, TABLE, kept, snapshots=True)] == [
        "twice"
    ]


RESENT = msgspec.structs.replace(SOURCE, resent=frozenset({"account"}))


@pytest.mark.parametrize(
    "spoil",
    [lose(5), lose(6), add(Kept(9, "DELETE", None)), add(Kept(9, "INSERT", ("2",), 12, 1, "t5"))],
    ids=["a deletion is missing", "a TRUNCATE is missing", "a baseline ends", "a row is sent again"],
)
def test_a_table_that_was_sent_again_is_passed(spoil: Callable[[list[Kept]], None]) -> None:
    kept = history()
    spoil(kept)
    assert judge_history("sink", RESENT, TABLE, kept) == []


@pytest.mark.parametrize(
    "name", [name for name in WRONG if not any(word in name for word in ("TRUNCATE", "twice", "deletion", "old key"))]
)  # fmt: skip
def test_versions_are_judged_in_a_table_that_was_sent_again(name: str) -> None:
    spoil, kind = WRONG[name]
    kept = history()
    spoil(kept)
    assert kind in {finding.kind for finding in judge_history("sink", RESENT, TABLE, kept)}


def test_in_a_table_that_settles_the_present_row_may_come_again() -> None:
    kept = [*history(), Kept(9, "INSERT", ("2",), 12, 1, "t5")]
    assert judge_history("sink", SOURCE, SETTLING, kept) == []


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lose(2), "lost"),
        (lose(8), "lost"),
        (add(Kept(9, "INSERT", ("2",), 12, 0, "t5")), "out of order"),
        (add(Kept(9, "DELETE", ("2",))), "out of order"),
        (add(Kept(9, "INSERT", ("9",), 13, 0, "t0")), "rolled back appeared"),
        (add(Kept(9, "INSERT", ("9",), 99, 0, "t1")), "never written"),
    ],
    ids=[
        "version lost",
        "last version lost",
        "an older version stands",
        "a row is gone",
        "rolled back",
        "unknown",
    ],
)
def test_in_a_table_that_settles_what_is_wrong_is_found(
    spoil: Callable[[list[Kept]], None], kind: str
) -> None:
    kept = history()
    spoil(kept)
    assert kind in {finding.kind for finding in judge_history("sink", SOURCE, SETTLING, kept)}


def test_a_source_that_loses_or_invents_commits_and_capture_that_fails_writes_are_found() -> None:
    source = SourceRecord(frozenset({"b"}), frozenset({"a"}), frozenset({"b"}), {})
    record = Record(1, {"accounts": source}, {}, ["XX000: pgevents"], 0, 0, 0.0)  # type: ignore[arg-type]
    assert {finding.kind for finding in judge_source(record)} == {
        "capture failed a write", "source lost a commit", "source kept a rollback",
    }  # fmt: skip
