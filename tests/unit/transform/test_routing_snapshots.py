"""Snapshot events in routing: those that put an earlier event right, and the end of a baseline."""

import pytest

from pgevents import ChangeEvent, Record, on
from pgevents.batch import Change
from tests.unit.transform.routed import (
    ANN,
    BOB,
    TABLE,
    event,
    routed,
    rows,
    snapshot,
    version,
)

pytestmark = pytest.mark.usefixtures("own_registry")


def per_letter(change: ChangeEvent) -> list[Record]:
    """A record for each letter of the name: what a row owns depends on its values."""
    return [Record({"id": f"{change.payload['id']}{letter}"}) for letter in str(change.payload["name"])]


def test_a_snapshot_with_a_row_before_takes_away_what_only_that_row_had() -> None:
    on(TABLE, "INSERT", "UPDATE")(per_letter)
    [table] = routed(rows(event("S", 5, ANN, {**ANN, "name": "An"}))).batch.tables
    assert [change.values[0] for change in table.changes if change.clause == "INSERT" and change.values] == [
        "1A",
        "1n",
    ]
    [table] = routed(rows(event("S", 5, {**ANN, "name": "Abc"}, {**ANN, "name": "Ad"}))).batch.tables
    deleted = [change.values[0] for change in table.changes if change.clause == "DELETE" and change.values]
    assert sorted(map(str, deleted)) == ["1b", "1c"]


def test_a_snapshot_without_a_row_before_takes_nothing_away() -> None:
    on(TABLE, "INSERT", "UPDATE")(per_letter)
    [table] = routed(rows(snapshot(5, {**ANN, "name": "A"}))).batch.tables
    assert [change.clause for change in table.changes] == ["INSERT"]


def test_a_snapshot_of_a_row_that_moved_takes_its_old_key_away() -> None:
    [table] = routed(rows(event("S", 5, ANN, BOB))).batch.tables
    assert [(change.clause, change.values and change.values[0]) for change in table.changes] == [
        ("DELETE", "1"), ("INSERT", "2"),
    ]  # fmt: skip


def test_the_end_of_a_baseline_empties_every_target_of_what_is_older_and_asks_no_transform() -> None:
    asked: list[ChangeEvent] = []
    on(TABLE, "INSERT", "UPDATE", "DELETE", "TRUNCATE")(asked.append)
    result = routed(rows(event("B", 5)))
    assert [change for table in result.batch.tables for change in table.changes] == [
        Change("DELETE", version(5), None)
    ]
    assert (asked, result.dead, result.dropped) == ([], [], 0)


def test_the_end_of_a_baseline_passes_keys_that_are_dead() -> None:
    dead_keys = {("public.account", ("1",)): version(1)}
    result = routed(rows(event("B", 5)), dead_keys=dict(dead_keys))
    assert result.dead == []
    assert len(result.batch.tables) == 1
