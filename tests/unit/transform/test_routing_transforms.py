"""What a transform's records come to in every target."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from pgevents import ChangeEvent, EventType, Record, Value, Version, on
from tests.unit.transform.routed import (
    ANN,
    BOB,
    TABLE,
    Row,
    brought,
    changes,
    delete,
    insert,
    route,
    routed,
    rows,
    snapshot,
    taken,
    truncate,
    update,
    version,
)

pytestmark = pytest.mark.usefixtures("own_registry")


def test_event_holds_everything_decoded() -> None:
    seen: list[ChangeEvent] = []

    @on(TABLE, "INSERT", "UPDATE", "DELETE", "TRUNCATE")
    def account(event: ChangeEvent) -> None:
        seen.append(event)

    moved = {**BOB, "id": "9"}
    routed(rows(snapshot(4, ANN), update(5, BOB, moved), delete(6, moved), truncate(7)))
    ann: dict[str, Value] = {"id": 1, "name": "Ann", "balance": Decimal("10.00"), "is_open": True}
    old: dict[str, Value] = {"id": 2, "name": "Bob", "balance": None, "is_open": False}
    new = {**old, "id": 9}

    def seen_as(
        kind: str, payload: dict[str, Value], before: dict[str, Value] | None, seq: int
    ) -> ChangeEvent:
        captured_at = datetime(2026, 11, 22, 15, 54, 53, 500_000, tzinfo=UTC)
        key = {"id": payload["id"]} if payload else {}
        return ChangeEvent(EventType(kind), payload, TABLE, key, before, Version(3, seq), 4711, captured_at)

    assert seen == [
        seen_as("SNAPSHOT", ann, None, 4),
        seen_as("UPDATE", new, old, 5),
        seen_as("INSERT", old, None, 5),  # the row as an insert would have brought it, for what it then had
        seen_as("DELETE", new, new, 6),
        seen_as("TRUNCATE", {}, None, 7),
    ]


def test_record_s_values_are_written_as_postgresql_would() -> None:
    @on(TABLE)
    def account(event: ChangeEvent) -> Record:
        return Record({**event.payload, "balance": Decimal("1E+2"), "is_open": False, "rate": float("inf")})

    declared = route(columns={"rate": "double_precision"})
    assert changes(insert(5, ANN), to=[declared]) == [brought(5, "1", "Ann", "100", "f", "Infinity")]


def test_none_drops_the_event_and_counts_it() -> None:
    @on(TABLE)
    def account(event: ChangeEvent) -> Record | None:
        return None if event.payload["name"] == "Ann" else Record(event.payload)

    result = routed(rows(insert(5, ANN), insert(6, BOB)))
    assert [change.version for change in result.batch.tables[0].changes] == [version(6)]
    assert (result.dropped, result.dead) == (1, [])


def test_row_that_the_transform_drops_from_now_on_is_taken_away() -> None:
    @on(TABLE)
    def account(event: ChangeEvent) -> Record | None:
        return Record(event.payload) if event.payload["is_open"] else None

    assert changes(update(6, ANN, {**ANN, "is_open": "f"})) == [taken(6, "1", None, None, None)]


def test_row_that_the_transform_dropped_until_now_is_only_brought() -> None:
    @on(TABLE)
    def account(event: ChangeEvent) -> Record | None:
        return Record(event.payload) if event.payload["is_open"] else None

    assert changes(update(6, {**ANN, "is_open": "f"}, ANN)) == [brought(6, "1", "Ann", "10.00", "t")]


def test_delete_of_a_row_that_was_never_brought_is_dropped() -> None:
    @on(TABLE)
    def account(event: ChangeEvent) -> Record | None:
        return None

    result = routed(rows(delete(6, ANN)))
    assert (result.batch.tables, result.dropped) == ([], 1)


def test_list_brings_every_record_and_takes_away_what_only_the_old_row_had() -> None:
    tags = {"id": "bigint", "tags": "text"}

    @on(TABLE)
    def account(event: ChangeEvent) -> list[Record]:
        return [
            Record({"id": event.payload["id"], "tags": tag}) for tag in str(event.payload["tags"]).split()
        ]

    one: Row = {"id": "1", "tags": "a b"}
    other: Row = {"id": "1", "tags": "b c"}
    table = rows(insert(5, one), update(6, one, other), delete(7, other), columns=tags)
    result = routed(table, to=[route(key=("id", "tags"))])
    assert result.dead == []
    assert result.batch.tables[0].changes == [
        brought(5, "1", "a"), brought(5, "1", "b"),
        taken(6, "1", "a"), brought(6, "1", "b"), brought(6, "1", "c"),
        taken(7, "1", "b"), taken(7, "1", "c"),
    ]  # fmt: skip


def test_records_go_to_the_target_that_they_name_or_else_to_the_first() -> None:
    @on(TABLE)
    def account(event: ChangeEvent) -> list[Record]:
        key = {"id": event.payload["id"]}
        return [Record({**key, "name": "x"}), Record({**key, "name": "y"}, target="account_name")]

    second = route(target="account_name", omit=("balance", "is_open"))
    result = routed(rows(insert(5, ANN), delete(6, ANN)), to=[route(), second])
    assert {table.target: table.changes for table in result.batch.tables} == {
        "account": [brought(5, "1", "x", None, None), taken(6, "1", None, None, None)],
        "account_name": [brought(5, "1", "y"), taken(6, "1", None)],
    }


def test_record_that_moves_between_targets_leaves_the_old_one() -> None:
    @on(TABLE)
    def account(event: ChangeEvent) -> Record:
        return Record(event.payload, target="account" if event.payload["is_open"] else "closed_account")

    result = routed(
        rows(update(6, ANN, {**ANN, "is_open": "f"})), to=[route(), route(target="closed_account")]
    )
    assert {table.target: table.changes for table in result.batch.tables} == {
        "account": [taken(6, "1", None, None, None)],
        "closed_account": [brought(6, "1", "Ann", "10.00", "f")],
    }


def test_payload_with_omitted_columns_goes_without_them() -> None:
    @on(TABLE)
    def account(event: ChangeEvent) -> Record:
        return Record({**event.payload, "slug": "ann"})

    to = [route(omit=("balance", "is_open"), columns={"slug": "text"})]
    assert changes(insert(5, ANN), to=to) == [brought(5, "1", "Ann", "ann")]


def test_delete_with_its_own_transform_is_what_that_says() -> None:
    @on(TABLE, "DELETE")
    def keep_as_closed(event: ChangeEvent) -> Record:
        return Record({**event.payload, "is_open": False}, clause="INSERT")

    assert changes(delete(7, ANN)) == [brought(7, "1", "Ann", "10.00", "f")]


def test_delete_s_own_transform_takes_away_what_it_returns() -> None:
    @on(TABLE, "DELETE")
    def remove(event: ChangeEvent) -> Record:
        return Record({"id": event.payload["id"]})

    assert changes(delete(7, ANN)) == [taken(7, "1", None, None, None)]


def test_delete_s_own_transform_keeps_the_row_with_none() -> None:
    @on(TABLE, "DELETE")
    def keep(event: ChangeEvent) -> None:
        return None

    result = routed(rows(delete(7, ANN)))
    assert (result.batch.tables, result.dropped) == ([], 1)


def test_update_s_own_transform_may_take_away_other_records() -> None:
    @on(TABLE, "UPDATE")
    def merge(event: ChangeEvent) -> list[Record]:
        return [Record(event.payload), Record({"id": 99}, clause="DELETE")]

    assert changes(update(6, ANN, ANN)) == [
        taken(6, "99", None, None, None),
        brought(6, "1", "Ann", "10.00", "t"),
    ]


def test_key_that_is_taken_away_twice_is_taken_away_once() -> None:
    @on(TABLE, "UPDATE")
    def remove(event: ChangeEvent) -> list[Record]:
        return [Record(event.payload, clause="DELETE"), Record(event.payload, clause="DELETE")]

    assert changes(update(6, ANN, ANN)) == [taken(6, "1", None, None, None)]


def test_truncate_s_own_transform_keeps_the_rows_with_none() -> None:
    @on(TABLE, "TRUNCATE")
    def keep(event: ChangeEvent) -> None:
        return None

    result = routed(rows(truncate(7)))
    assert (result.batch.tables, result.dropped) == ([], 1)


def test_snapshot_is_transformed_as_an_insert() -> None:
    @on(TABLE, "INSERT")
    def account(event: ChangeEvent) -> Record:
        return Record({**event.payload, "name": str(event.event_type)})

    assert changes(snapshot(5, ANN)) == [brought(5, "1", "SNAPSHOT", "10.00", "t")]


def test_transform_that_changes_its_payload_changes_nothing_else() -> None:
    @on(TABLE)
    def account(event: ChangeEvent) -> Record:
        payload = event.payload
        assert isinstance(payload, dict)
        payload["name"] = "changed"
        return Record(payload)

    table = rows(update(6, ANN, {**ANN, "id": "9"}))
    routed(table)
    assert table.rows == [update(6, ANN, {**ANN, "id": "9"})]


def test_two_equal_records_are_one() -> None:
    @on(TABLE)
    def account(event: ChangeEvent) -> list[Record]:
        return [Record(event.payload), Record(event.payload)]

    assert changes(insert(5, ANN)) == [brought(5, "1", "Ann", "10.00", "t")]


def test_reading_a_batch_again_comes_to_the_same_bytes() -> None:
    @on(TABLE)
    def account(event: ChangeEvent) -> list[Record]:
        values: dict[str, Value] = {**event.payload}
        return [Record(values), Record({**values, "id": -1})]

    events = [insert(5, ANN), update(6, ANN, {**ANN, "id": "8"}), truncate(7), snapshot(8, BOB)]
    first, again = routed(rows(*events)), routed(rows(*events))
    assert msgspec.json.encode(first.batch) == msgspec.json.encode(again.batch)
