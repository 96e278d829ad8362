"""What a batch's events come to in every target without a transform."""

import msgspec
import pytest

from pgevents.batch import Change, Column, TableChanges
from pgevents.errors import InputError
from tests.unit.transform.routed import (
    ANN,
    BOB,
    COLUMNS,
    EPOCH,
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


def test_insert_brings_the_row_as_postgresql_printed_it() -> None:
    assert changes(insert(5, ANN)) == [brought(5, "1", "Ann", "10.00", "t")]


def test_snapshot_brings_the_row_as_it_stands() -> None:
    assert changes(snapshot(5, BOB)) == [brought(5, "2", "Bob", None, "f")]


def test_update_brings_the_new_row_and_takes_nothing_away() -> None:
    assert changes(update(6, ANN, {**ANN, "name": "Anne"})) == [brought(6, "1", "Anne", "10.00", "t")]


def test_update_that_changes_nothing_is_still_a_change() -> None:
    assert changes(update(6, ANN, ANN)) == [brought(6, "1", "Ann", "10.00", "t")]


def test_update_of_the_key_takes_the_old_row_away() -> None:
    assert changes(update(6, ANN, {**ANN, "id": "9"})) == [
        taken(6, "1", None, None, None),
        brought(6, "9", "Ann", "10.00", "t"),
    ]


def test_delete_takes_the_row_away_by_its_key_only() -> None:
    assert changes(delete(7, ANN)) == [taken(7, "1", None, None, None)]


def test_truncate_takes_every_row_away() -> None:
    assert changes(insert(5, ANN), truncate(8), insert(9, BOB)) == [
        brought(5, "1", "Ann", "10.00", "t"),
        Change("DELETE", version(8), None),
        brought(9, "2", "Bob", None, "f"),
    ]


def test_changes_are_in_order_of_version() -> None:
    moved = {**ANN, "id": "3"}
    events = [
        insert(1, ANN),
        insert(2, BOB),
        update(3, ANN, moved),
        delete(4, moved),
        truncate(5),
        insert(6, ANN),
    ]
    versions = [change.version for change in changes(*events)]
    assert versions == sorted(versions)


def test_batch_carries_its_ledger_s_numbers_and_time() -> None:
    batch = routed(rows(insert(5, ANN))).batch
    assert (batch.source, batch.batch_id, batch.epoch) == ("accounts", 7, EPOCH)
    assert batch.opened_at == "2026-11-22T15:54:54.000012+00:00"


def test_target_has_the_table_s_columns_and_key() -> None:
    (table,) = routed(rows(insert(5, ANN)), to=[route(mode="both", target="client")]).batch.tables
    assert table == TableChanges(
        target="client",
        mode="both",
        sinks=("replica", "warehouse"),
        key=("id",),
        columns=tuple(Column(name, kind) for name, kind in COLUMNS.items()),
        changes=[brought(5, "1", "Ann", "10.00", "t")],
    )


def test_type_that_only_the_outbox_needs_is_text_in_the_target() -> None:
    table = rows(insert(5, {"id": "1", "code": "ab  "}), columns={"id": "bigint", "code": "bpchar"})
    (target,) = routed(table).batch.tables
    assert target.columns[1] == Column("code", "text")
    assert target.changes == [brought(5, "1", "ab  ")]


def test_every_route_gets_the_row() -> None:
    name_only = route(target="account_name", omit=("balance", "is_open"), sinks=("warehouse",))
    first, second = routed(rows(update(6, ANN, {**ANN, "id": "9"})), to=[route(), name_only]).batch.tables
    assert first.target == "account"
    assert first.changes == [taken(6, "1", None, None, None), brought(6, "9", "Ann", "10.00", "t")]
    assert second.target == "account_name"
    assert second.columns == (Column("id", "bigint"), Column("name", "text"))
    assert second.changes == [taken(6, "1", None), brought(6, "9", "Ann")]


def test_omitted_column_is_nowhere_in_the_batch() -> None:
    batch = routed(rows(insert(5, ANN)), to=[route(omit=("name",))]).batch
    assert b"Ann" not in msgspec.json.encode(batch)
    assert b"name" not in msgspec.json.encode([table.columns for table in batch.tables]).replace(
        b'"name":', b""
    )


def test_column_that_only_transforms_fill_is_null() -> None:
    (target,) = routed(rows(insert(5, ANN)), to=[route(columns={"slug": "text"})]).batch.tables
    assert target.columns[-1] == Column("slug", "text")
    assert target.changes == [brought(5, "1", "Ann", "10.00", "t", None)]


def test_declared_type_takes_the_place_of_the_captured_one() -> None:
    declared = {"balance": "double_precision", "id": "text"}
    (target,) = routed(rows(insert(5, ANN)), to=[route(columns=declared)]).batch.tables
    assert [column.type for column in target.columns] == ["text", "text", "double precision", "boolean"]


def test_route_s_own_key_decides_what_is_taken_away() -> None:
    renamed = {**ANN, "name": "Anne"}
    assert changes(update(6, ANN, renamed), to=[route(key=("name",))]) == [
        taken(6, None, "Ann", None, None),
        brought(6, "1", "Anne", "10.00", "t"),
    ]


def test_key_in_another_order_than_the_columns_is_taken_away_by_the_right_columns() -> None:
    assert changes(delete(6, ANN), to=[route(key=("name", "id"))]) == [taken(6, "1", "Ann", None, None)]


def test_table_that_no_route_takes_is_dropped_and_counted() -> None:
    result = routed(rows(insert(5, ANN), truncate(6), name="public.login"))
    assert (result.batch.tables, result.dead, result.dropped) == ([], [], 2)


def test_key_that_only_changes_its_spelling_is_not_taken_away() -> None:
    columns = {"id": "numeric", "name": "text"}
    table = rows(update(6, {"id": "1.0", "name": "a"}, {"id": "1.00", "name": "a"}), columns=columns)
    (target,) = routed(table).batch.tables
    assert target.changes == [brought(6, "1.00", "a")]


@pytest.mark.parametrize("key", ["NaN", "Infinity", "-0"])
def test_odd_numbers_may_be_keys(key: str) -> None:
    columns = {"id": "double precision", "name": "text"}
    table = rows(update(6, {"id": key, "name": "a"}, {"id": key, "name": "b"}), columns=columns)
    assert routed(table).batch.tables[0].changes == [brought(6, key, "b")]


def test_key_that_the_target_lacks_is_the_pipeline_s_mistake_and_no_dead_letter() -> None:
    with pytest.raises(InputError) as caught:
        routed(rows(insert(5, ANN)), to=[route(key=("email",))])
    assert str(caught.value) == (
        "route of accounts.public.account: key column 'email' is not among the target's columns; "
        "declare it in "
        "the route's columns or take it out of omit"
    )


def test_two_layouts_of_a_table_each_have_their_columns() -> None:
    later = rows(insert(6, {"id": "2", "email": "b@c"}), columns={"id": "bigint", "email": "text"})
    first, second = routed(rows(insert(5, ANN)), later).batch.tables
    assert (first.target, second.target) == ("account", "account")
    assert second.columns == (Column("id", "bigint"), Column("email", "text"))
    assert second.changes == [brought(6, "2", "b@c")]
