"""What a batch's events come to in every target, and which of them die."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgevents import ChangeEvent, EventType, Record, Value, Version, on, transforms
from pgevents.batch import Change, Column, TableChanges
from pgevents.config import Pipeline, PostgresSink, RedshiftSink, Route, Sink, Source, Table
from pgevents.errors import InputError
from transform.outbox import Dead, LedgerBatch, OutboxRow, TableRows
from transform.routing import DeadKeys, Routed, route_batch

TABLE = "accounts.public.account"
EPOCH = 3
OPENED = datetime(2026, 11, 22, 15, 54, 54, 12, tzinfo=UTC)
Row = dict[str, str | None]

COLUMNS = {"id": "bigint", "name": "text", "balance": "numeric", "is_open": "boolean"}
ANN: Row = {"id": "1", "name": "Ann", "balance": "10.00", "is_open": "t"}
BOB: Row = {"id": "2", "name": "Bob", "balance": None, "is_open": "f"}


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transforms, "_registered", {})


def pipeline(*routes: Route) -> Pipeline:
    names = dict.fromkeys(route.table.split(".", 1)[1] for route in routes)
    sinks: dict[str, Sink] = {"replica": PostgresSink(), "warehouse": RedshiftSink()}
    return Pipeline({"accounts": Source(tuple(Table(name) for name in names))}, sinks, routes)


def route(**changed: object) -> Route:
    return msgspec.structs.replace(Route(TABLE, ("replica", "warehouse")), **changed)


def rows(
    *events: OutboxRow,
    columns: dict[str, str] = COLUMNS,
    key: tuple[str, ...] = ("id",),
    name: str = "public.account",
) -> TableRows:
    return TableRows(name, key, tuple(columns), tuple(columns.values()), list(events))


def event(
    op: str, seq: int, before: Row | None = None, after: Row | None = None, width: int = 4
) -> OutboxRow:
    nothing = (None,) * width
    images = (tuple(before.values()) if before else nothing, tuple(after.values()) if after else nothing)
    return OutboxRow(op, seq, 4711, "2026-11-22 15:54:53.5+00", *images)


def insert(seq: int, row: Row) -> OutboxRow:
    return event("I", seq, None, row, len(row))


def update(seq: int, before: Row, after: Row) -> OutboxRow:
    return event("U", seq, before, after, len(after))


def delete(seq: int, row: Row) -> OutboxRow:
    return event("D", seq, row, None, len(row))


def snapshot(seq: int, row: Row) -> OutboxRow:
    return event("S", seq, None, row, len(row))


def truncate(seq: int) -> OutboxRow:
    return event("T", seq)


def routed(
    *tables: TableRows,
    to: Sequence[Route] = (),
    dead_keys: DeadKeys | None = None,
    refused: dict[int, str] | None = None,
) -> Routed:
    batch = LedgerBatch(7, EPOCH, sum(len(table.rows) for table in tables), OPENED)
    keys = {} if dead_keys is None else dead_keys
    return route_batch(pipeline(*(to or [route()])), "accounts", batch, tables, keys, refused or {})


def changes(*events: OutboxRow, to: Sequence[Route] = ()) -> list[Change]:
    """The changes of the only target, none of them dead."""
    result = routed(rows(*events), to=to)
    assert result.dead == []
    return [change for table in result.batch.tables for change in table.changes]


def version(seq: int) -> int:
    return Version(EPOCH, seq).number


def brought(seq: int, *values: str | None) -> Change:
    return Change("INSERT", version(seq), values)


def taken(seq: int, *values: str | None) -> Change:
    return Change("DELETE", version(seq), values)


def only_dead(result: Routed) -> Dead:
    (dead,) = result.dead
    return dead


class TestWithoutATransform:
    def test_insert_brings_the_row_as_postgresql_printed_it(self) -> None:
        assert changes(insert(5, ANN)) == [brought(5, "1", "Ann", "10.00", "t")]

    def test_snapshot_brings_the_row_as_it_stands(self) -> None:
        assert changes(snapshot(5, BOB)) == [brought(5, "2", "Bob", None, "f")]

    def test_update_brings_the_new_row_and_takes_nothing_away(self) -> None:
        assert changes(update(6, ANN, {**ANN, "name": "Anne"})) == [brought(6, "1", "Anne", "10.00", "t")]

    def test_update_that_changes_nothing_is_still_a_change(self) -> None:
        assert changes(update(6, ANN, ANN)) == [brought(6, "1", "Ann", "10.00", "t")]

    def test_update_of_the_key_takes_the_old_row_away(self) -> None:
        assert changes(update(6, ANN, {**ANN, "id": "9"})) == [
            taken(6, "1", None, None, None),
            brought(6, "9", "Ann", "10.00", "t"),
        ]

    def test_delete_takes_the_row_away_by_its_key_only(self) -> None:
        assert changes(delete(7, ANN)) == [taken(7, "1", None, None, None)]

    def test_truncate_takes_every_row_away(self) -> None:
        assert changes(insert(5, ANN), truncate(8), insert(9, BOB)) == [
            brought(5, "1", "Ann", "10.00", "t"),
            Change("DELETE", version(8), None),
            brought(9, "2", "Bob", None, "f"),
        ]

    def test_changes_are_in_order_of_version(self) -> None:
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

    def test_batch_carries_its_ledger_s_numbers_and_time(self) -> None:
        batch = routed(rows(insert(5, ANN))).batch
        assert (batch.source, batch.batch_id, batch.epoch) == ("accounts", 7, EPOCH)
        assert batch.opened_at == "2026-11-22T15:54:54.000012+00:00"

    def test_target_has_the_table_s_columns_and_key(self) -> None:
        (table,) = routed(rows(insert(5, ANN)), to=[route(mode="both", target="client")]).batch.tables
        assert table == TableChanges(
            target="client",
            mode="both",
            sinks=("replica", "warehouse"),
            key=("id",),
            columns=tuple(Column(name, kind) for name, kind in COLUMNS.items()),
            changes=[brought(5, "1", "Ann", "10.00", "t")],
        )

    def test_type_that_only_the_outbox_needs_is_text_in_the_target(self) -> None:
        table = rows(insert(5, {"id": "1", "code": "ab  "}), columns={"id": "bigint", "code": "bpchar"})
        (target,) = routed(table).batch.tables
        assert target.columns[1] == Column("code", "text")
        assert target.changes == [brought(5, "1", "ab  ")]

    def test_every_route_gets_the_row(self) -> None:
        name_only = route(target="account_name", omit=("balance", "is_open"), sinks=("warehouse",))
        first, second = routed(rows(update(6, ANN, {**ANN, "id": "9"})), to=[route(), name_only]).batch.tables
        assert first.target == "account"
        assert first.changes == [taken(6, "1", None, None, None), brought(6, "9", "Ann", "10.00", "t")]
        assert second.target == "account_name"
        assert second.columns == (Column("id", "bigint"), Column("name", "text"))
        assert second.changes == [taken(6, "1", None), brought(6, "9", "Ann")]

    def test_omitted_column_is_nowhere_in_the_batch(self) -> None:
        batch = routed(rows(insert(5, ANN)), to=[route(omit=("name",))]).batch
        assert b"Ann" not in msgspec.json.encode(batch)
        assert b"name" not in msgspec.json.encode([table.columns for table in batch.tables]).replace(
            b'"name":', b""
        )

    def test_column_that_only_transforms_fill_is_null(self) -> None:
        (target,) = routed(rows(insert(5, ANN)), to=[route(columns={"slug": "text"})]).batch.tables
        assert target.columns[-1] == Column("slug", "text")
        assert target.changes == [brought(5, "1", "Ann", "10.00", "t", None)]

    def test_declared_type_takes_the_place_of_the_captured_one(self) -> None:
        declared = {"balance": "double_precision", "id": "text"}
        (target,) = routed(rows(insert(5, ANN)), to=[route(columns=declared)]).batch.tables
        assert [column.type for column in target.columns] == ["text", "text", "double precision", "boolean"]

    def test_route_s_own_key_decides_what_is_taken_away(self) -> None:
        renamed = {**ANN, "name": "Anne"}
        assert changes(update(6, ANN, renamed), to=[route(key=("name",))]) == [
            taken(6, None, "Ann", None, None),
            brought(6, "1", "Anne", "10.00", "t"),
        ]

    def test_key_in_another_order_than_the_columns_is_taken_away_by_the_right_columns(self) -> None:
        assert changes(delete(6, ANN), to=[route(key=("name", "id"))]) == [taken(6, "1", "Ann", None, None)]

    def test_table_that_no_route_takes_is_dropped_and_counted(self) -> None:
        result = routed(rows(insert(5, ANN), truncate(6), name="public.login"))
        assert (result.batch.tables, result.dead, result.dropped) == ([], [], 2)

    def test_key_that_only_changes_its_spelling_is_not_taken_away(self) -> None:
        columns = {"id": "numeric", "name": "text"}
        table = rows(update(6, {"id": "1.0", "name": "a"}, {"id": "1.00", "name": "a"}), columns=columns)
        (target,) = routed(table).batch.tables
        assert target.changes == [brought(6, "1.00", "a")]

    @pytest.mark.parametrize("key", ["NaN", "Infinity", "-0"])
    def test_odd_numbers_may_be_keys(self, key: str) -> None:
        columns = {"id": "double precision", "name": "text"}
        table = rows(update(6, {"id": key, "name": "a"}, {"id": key, "name": "b"}), columns=columns)
        assert routed(table).batch.tables[0].changes == [brought(6, key, "b")]

    def test_key_that_the_target_lacks_is_the_pipeline_s_mistake_and_no_dead_letter(self) -> None:
        with pytest.raises(InputError) as caught:
            routed(rows(insert(5, ANN)), to=[route(key=("email",))])
        assert str(caught.value) == (
            "route of accounts.public.account: key column 'email' is not among the target's columns; "
            "declare it in "
            "the route's columns or take it out of omit"
        )

    def test_two_layouts_of_a_table_each_have_their_columns(self) -> None:
        later = rows(insert(6, {"id": "2", "email": "b@c"}), columns={"id": "bigint", "email": "text"})
        first, second = routed(rows(insert(5, ANN)), later).batch.tables
        assert (first.target, second.target) == ("account", "account")
        assert second.columns == (Column("id", "bigint"), Column("email", "text"))
        assert second.changes == [brought(6, "2", "b@c")]


class TestWithATransform:
    def test_event_holds_everything_decoded(self) -> None:
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
            return ChangeEvent(
                EventType(kind), payload, TABLE, key, before, Version(3, seq), 4711, captured_at
            )

        assert seen == [
            seen_as("SNAPSHOT", ann, None, 4),
            seen_as("UPDATE", new, old, 5),
            seen_as(
                "INSERT", old, None, 5
            ),  # the row as an insert would have brought it, for what it then had
            seen_as("DELETE", new, new, 6),
            seen_as("TRUNCATE", {}, None, 7),
        ]

    def test_record_s_values_are_written_as_postgresql_would(self) -> None:
        @on(TABLE)
        def account(event: ChangeEvent) -> Record:
            return Record(
                {**event.payload, "balance": Decimal("1E+2"), "is_open": False, "rate": float("inf")}
            )

        declared = route(columns={"rate": "double_precision"})
        assert changes(insert(5, ANN), to=[declared]) == [brought(5, "1", "Ann", "100", "f", "Infinity")]

    def test_none_drops_the_event_and_counts_it(self) -> None:
        @on(TABLE)
        def account(event: ChangeEvent) -> Record | None:
            return None if event.payload["name"] == "Ann" else Record(event.payload)

        result = routed(rows(insert(5, ANN), insert(6, BOB)))
        assert [change.version for change in result.batch.tables[0].changes] == [version(6)]
        assert (result.dropped, result.dead) == (1, [])

    def test_row_that_the_transform_drops_from_now_on_is_taken_away(self) -> None:
        @on(TABLE)
        def account(event: ChangeEvent) -> Record | None:
            return Record(event.payload) if event.payload["is_open"] else None

        assert changes(update(6, ANN, {**ANN, "is_open": "f"})) == [taken(6, "1", None, None, None)]

    def test_row_that_the_transform_dropped_until_now_is_only_brought(self) -> None:
        @on(TABLE)
        def account(event: ChangeEvent) -> Record | None:
            return Record(event.payload) if event.payload["is_open"] else None

        assert changes(update(6, {**ANN, "is_open": "f"}, ANN)) == [brought(6, "1", "Ann", "10.00", "t")]

    def test_delete_of_a_row_that_was_never_brought_is_dropped(self) -> None:
        @on(TABLE)
        def account(event: ChangeEvent) -> Record | None:
            return None

        result = routed(rows(delete(6, ANN)))
        assert (result.batch.tables, result.dropped) == ([], 1)

    def test_list_brings_every_record_and_takes_away_what_only_the_old_row_had(self) -> None:
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

    def test_records_go_to_the_target_that_they_name_or_else_to_the_first(self) -> None:
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

    def test_record_that_moves_between_targets_leaves_the_old_one(self) -> None:
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

    def test_payload_with_omitted_columns_goes_without_them(self) -> None:
        @on(TABLE)
        def account(event: ChangeEvent) -> Record:
            return Record({**event.payload, "slug": "ann"})

        to = [route(omit=("balance", "is_open"), columns={"slug": "text"})]
        assert changes(insert(5, ANN), to=to) == [brought(5, "1", "Ann", "ann")]

    def test_delete_with_its_own_transform_is_what_that_says(self) -> None:
        @on(TABLE, "DELETE")
        def keep_as_closed(event: ChangeEvent) -> Record:
            return Record({**event.payload, "is_open": False}, clause="INSERT")

        assert changes(delete(7, ANN)) == [brought(7, "1", "Ann", "10.00", "f")]

    def test_delete_s_own_transform_takes_away_what_it_returns(self) -> None:
        @on(TABLE, "DELETE")
        def remove(event: ChangeEvent) -> Record:
            return Record({"id": event.payload["id"]})

        assert changes(delete(7, ANN)) == [taken(7, "1", None, None, None)]

    def test_delete_s_own_transform_keeps_the_row_with_none(self) -> None:
        @on(TABLE, "DELETE")
        def keep(event: ChangeEvent) -> None:
            return None

        result = routed(rows(delete(7, ANN)))
        assert (result.batch.tables, result.dropped) == ([], 1)

    def test_update_s_own_transform_may_take_away_other_records(self) -> None:
        @on(TABLE, "UPDATE")
        def merge(event: ChangeEvent) -> list[Record]:
            return [Record(event.payload), Record({"id": 99}, clause="DELETE")]

        assert changes(update(6, ANN, ANN)) == [
            taken(6, "99", None, None, None),
            brought(6, "1", "Ann", "10.00", "t"),
        ]

    def test_key_that_is_taken_away_twice_is_taken_away_once(self) -> None:
        @on(TABLE, "UPDATE")
        def remove(event: ChangeEvent) -> list[Record]:
            return [Record(event.payload, clause="DELETE"), Record(event.payload, clause="DELETE")]

        assert changes(update(6, ANN, ANN)) == [taken(6, "1", None, None, None)]

    def test_truncate_s_own_transform_keeps_the_rows_with_none(self) -> None:
        @on(TABLE, "TRUNCATE")
        def keep(event: ChangeEvent) -> None:
            return None

        result = routed(rows(truncate(7)))
        assert (result.batch.tables, result.dropped) == ([], 1)

    def test_snapshot_is_transformed_as_an_insert(self) -> None:
        @on(TABLE, "INSERT")
        def account(event: ChangeEvent) -> Record:
            return Record({**event.payload, "name": str(event.event_type)})

        assert changes(snapshot(5, ANN)) == [brought(5, "1", "SNAPSHOT", "10.00", "t")]

    def test_transform_that_changes_its_payload_changes_nothing_else(self) -> None:
        @on(TABLE)
        def account(event: ChangeEvent) -> Record:
            payload = event.payload
            assert isinstance(payload, dict)
            payload["name"] = "changed"
            return Record(payload)

        table = rows(update(6, ANN, {**ANN, "id": "9"}))
        routed(table)
        assert table.rows == [update(6, ANN, {**ANN, "id": "9"})]

    def test_two_equal_records_are_one(self) -> None:
        @on(TABLE)
        def account(event: ChangeEvent) -> list[Record]:
            return [Record(event.payload), Record(event.payload)]

        assert changes(insert(5, ANN)) == [brought(5, "1", "Ann", "10.00", "t")]


def undeclared(event: ChangeEvent) -> Record:
    return Record({**event.payload, "slug": "x"})


def wrong_type(event: ChangeEvent) -> Record:
    return Record({**event.payload, "name": date(2026, 1, 2)})  # type: ignore[dict-item]


def null_key(event: ChangeEvent) -> Record:
    return Record({**event.payload, "id": None})


def unknown_target(event: ChangeEvent) -> Record:
    return Record(event.payload, target="acount")


def unstorable(event: ChangeEvent) -> Record:
    return Record({**event.payload, "name": "a\x00b"})


def half_a_character(event: ChangeEvent) -> Record:
    return Record({**event.payload, "name": "\ud800"})


def one_key_twice(event: ChangeEvent) -> list[Record]:
    return [Record(event.payload), Record({**event.payload, "name": "other"})]


def wrong_clause(event: ChangeEvent) -> Record:
    return Record(event.payload, clause="delete")  # type: ignore[arg-type]


def a_dict(event: ChangeEvent) -> Record:
    return {}  # type: ignore[return-value]


def a_list_of_dicts(event: ChangeEvent) -> list[Record]:
    return [{"id": 1}]  # type: ignore[list-item]


def a_generator(event: ChangeEvent) -> Iterator[Record]:
    yield Record(event.payload)


def a_lookup(event: ChangeEvent) -> Record:
    return Record({"id": event.payload["no such column"]})


def an_input_error(event: ChangeEvent) -> Record:
    raise InputError("raised by the user's own code")


def an_exit(event: ChangeEvent) -> Record:
    raise SystemExit(3)


def no_end(event: ChangeEvent) -> Record:
    return no_end(event)


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


def unprintable(event: ChangeEvent) -> Record:
    raise Unprintable


RETURNED = "expected a Record, a list of them, or None"
DEADLY = {
    undeclared: (
        "TerminalError: the record for account has a column 'slug' that is not declared; add it to the "
        "columns of "
        "the route of accounts.public.account in pipeline.toml"
    ),
    wrong_type: (
        "TerminalError: column 'name' of the record for account: a date is no column value; expected None, "
        "bool, int, "
        "float, Decimal or str (PostgreSQL's own text of the value)"
    ),
    null_key: "TerminalError: the key of a row for account has a NULL: id = None",
    unknown_target: (
        "TerminalError: the record is for target 'acount', which no route of accounts.public.account has"
    ),
    unstorable: (
        r"TerminalError: column 'name' of the record for account: the text has '\x00' at position 1, which "
        "PostgreSQL cannot store; take it out"
    ),
    half_a_character: (
        r"TerminalError: column 'name' of the record for account: the text has '\ud800' at position 0, which "
        "PostgreSQL cannot store; take it out"
    ),
    one_key_twice: (
        "TerminalError: two records for account have one key, id = '1'; one of them would be lost: give them "
        "different keys or make one of them"
    ),
    wrong_clause: "TerminalError: a record's clause is 'delete'; expected INSERT or DELETE",
    a_dict: f"TerminalError: the transform returned a dict; {RETURNED}",
    a_list_of_dicts: f"TerminalError: the transform returned a dict; {RETURNED}",
    a_generator: f"TerminalError: the transform returned a generator; {RETURNED}",
    a_lookup: "KeyError: 'no such column'",
    an_input_error: "InputError: raised by the user's own code",
    an_exit: "SystemExit: 3",
    no_end: "RecursionError: maximum recursion depth exceeded",
    unprintable: "Unprintable",
}


class TestDeadEvents:
    @pytest.mark.parametrize(
        ("transform", "error"), DEADLY.items(), ids=lambda case: getattr(case, "__name__", "")
    )
    def test_transform_s_mistake_is_the_event_s_death_and_nobody_else_s(
        self, transform: transforms.Transform, error: str
    ) -> None:
        on(TABLE)(lambda event: transform(event) if event.payload["name"] == "Ann" else Record(event.payload))
        result = routed(rows(insert(5, ANN), insert(6, BOB)))
        dead = only_dead(result)
        assert (dead.seq, re.sub("(depth exceeded).*", r"\1", dead.error)) == (5, error)
        assert result.batch.tables[0].changes == [brought(6, "2", "Bob", None, "f")]

    def test_dead_letter_keeps_everything_that_a_replay_needs(self) -> None:
        on(TABLE)(a_lookup)
        moved = {**BOB, "id": "9"}
        dead = only_dead(routed(rows(update(5, BOB, moved))))
        assert (dead.seq, dead.table, dead.event_type) == (5, "public.account", "UPDATE")
        assert dead.keys == [{"id": "2"}, {"id": "9"}]
        assert msgspec.json.decode(dead.event) == {
            "columns": list(COLUMNS),
            "types": list(COLUMNS.values()),
            "before": list(BOB.values()),
            "after": list(moved.values()),
            "captured_at": "2026-11-22 15:54:53.5+00",
        }
        assert "a_lookup" in dead.stack
        assert dead.stack.endswith("KeyError: 'no such column'\n")

    def test_error_with_characters_that_cannot_be_stored_can_be_stored(self) -> None:
        @on(TABLE)
        def account(event: ChangeEvent) -> Record:
            raise ValueError("zero \x00 half \udc80")

        dead = only_dead(routed(rows(insert(5, ANN))))
        assert dead.error == r"ValueError: zero \x00 half \udc80"
        assert "\x00" not in dead.stack
        assert dead.stack.encode()

    def test_null_in_a_route_s_own_key_is_the_event_s_death(self) -> None:
        dead = only_dead(routed(rows(insert(5, {**ANN, "name": None})), to=[route(key=("id", "name"))]))
        assert dead.error == "TerminalError: the key of a row for account has a NULL: id = '1', name = None"

    def test_event_is_whole_or_dead_in_all_its_targets(self) -> None:
        second = route(target="by_name", key=("name",))
        result = routed(rows(insert(5, {**ANN, "name": None})), to=[route(), second])
        assert result.batch.tables == []
        assert only_dead(result).seq == 5


def dies_for(name: str) -> None:
    @on(TABLE)
    def account(event: ChangeEvent) -> Record:
        if event.payload["name"] == name:
            raise ValueError(name)
        return Record(event.payload)


class TestEventsBehindADeadOne:
    WAITS = "waits behind an earlier event of the same row"

    def test_later_events_of_the_row_wait_and_other_rows_go_on(self) -> None:
        dies_for("poison")
        poison = {**ANN, "name": "poison"}
        result = routed(rows(insert(5, poison), insert(6, BOB), update(7, poison, ANN), delete(8, ANN)))
        assert [(dead.seq, dead.error) for dead in result.dead] == [
            (5, "ValueError: poison"), (7, self.WAITS), (8, self.WAITS),
        ]  # fmt: skip
        assert result.batch.tables[0].changes == [brought(6, "2", "Bob", None, "f")]

    def test_events_before_the_dead_one_take_effect(self) -> None:
        dies_for("poison")
        result = routed(rows(insert(5, ANN), update(6, ANN, {**ANN, "name": "poison"})))
        assert only_dead(result).seq == 6
        assert result.batch.tables[0].changes == [brought(5, "1", "Ann", "10.00", "t")]

    def test_row_waits_in_later_batches_too(self) -> None:
        result = routed(rows(insert(9, ANN), insert(10, BOB)), dead_keys={("public.account", ("1",)): 5})
        assert (only_dead(result).seq, only_dead(result).error) == (9, self.WAITS)

    def test_batch_from_before_the_death_is_read_again_unchanged(self) -> None:
        result = routed(rows(insert(4, ANN)), dead_keys={("public.account", ("1",)): 5})
        assert result.dead == []
        assert result.batch.tables[0].changes == [brought(4, "1", "Ann", "10.00", "t")]

    def test_batch_with_the_dead_event_is_read_again_unchanged(self) -> None:
        dies_for("poison")
        table = rows(
            insert(5, ANN), update(6, ANN, {**ANN, "name": "poison"}), delete(7, {**ANN, "name": "poison"})
        )
        dead_keys: DeadKeys = {}
        first = routed(table, dead_keys=dead_keys)
        transforms._registered.clear()  # the team has mended its transform meanwhile
        again = routed(table, dead_keys=dead_keys)
        assert again.batch == first.batch
        assert [dead.seq for dead in again.dead] == [dead.seq for dead in first.dead] == [6, 7]

    def test_change_of_a_dead_row_s_key_makes_the_new_key_wait_too(self) -> None:
        moved = {**ANN, "id": "9"}
        dead_keys: DeadKeys = {("public.account", ("1",)): 5}
        result = routed(
            rows(update(6, ANN, moved), update(7, moved, {**moved, "name": "x"})), dead_keys=dead_keys
        )
        assert [dead.seq for dead in result.dead] == [6, 7]
        assert dead_keys == {("public.account", ("1",)): 5, ("public.account", ("9",)): 6}
        assert result.batch.tables == []

    def test_row_that_takes_a_dead_row_s_key_waits(self) -> None:
        result = routed(rows(update(6, BOB, {**BOB, "id": "1"})), dead_keys={("public.account", ("1",)): 5})
        assert [dead.seq for dead in result.dead] == [6]

    def test_same_key_of_another_table_does_not_wait(self) -> None:
        result = routed(rows(insert(6, ANN)), dead_keys={("public.login", ("1",)): 5})
        assert result.dead == []

    def test_truncate_does_not_wait(self) -> None:
        result = routed(rows(truncate(6)), dead_keys={("public.account", ("1",)): 5})
        assert result.batch.tables[0].changes == [Change("DELETE", version(6), None)]

    def test_event_that_a_sink_refused_dies_of_the_sink_s_reason(self) -> None:
        result = routed(
            rows(insert(5, ANN), update(6, ANN, BOB), insert(7, {**ANN, "id": "3"})), refused={5: "too long"}
        )
        assert [(dead.seq, dead.error, dead.stack) for dead in result.dead] == [
            (5, "too long", ""),
            (6, self.WAITS, ""),
        ]
        assert [change.version for change in result.batch.tables[0].changes] == [version(7)]

    def test_refused_event_makes_those_wait_that_stand_before_a_later_dead_one(self) -> None:
        events = [insert(5, ANN), update(6, ANN, ANN), update(7, ANN, ANN)]
        result = routed(rows(*events), dead_keys={("public.account", ("1",)): 7}, refused={5: "too long"})
        assert [dead.seq for dead in result.dead] == [5, 6, 7]


def test_reading_a_batch_again_comes_to_the_same_bytes() -> None:
    @on(TABLE)
    def account(event: ChangeEvent) -> list[Record]:
        values: dict[str, Value] = {**event.payload}
        return [Record(values), Record({**values, "id": -1})]

    events = [insert(5, ANN), update(6, ANN, {**ANN, "id": "8"}), truncate(7), snapshot(8, BOB)]
    first, again = routed(rows(*events)), routed(rows(*events))
    assert msgspec.json.encode(first.batch) == msgspec.json.encode(again.batch)


TAGS = {"id": "bigint", "tags": "text"}
TAG_ROUTES = [route(target="tag", key=("id", "tags")), route(target="loud", key=("id",))]


def by_tag(event: ChangeEvent) -> list[Record]:
    """A record a tag; one with an a in it is besides loud, one with an x is left out."""
    row, tags = event.payload, sorted(set(str(event.payload["tags"])) - {"x"})
    loud = [Record({**row, "tags": "A"}, target="loud")] if "a" in tags else []
    return [*(Record({**row, "tags": tag}) for tag in tags), *loud]


STEPS = st.lists(
    st.tuples(
        st.sampled_from("IIUUUDSKT"), st.integers(1, 3), st.integers(1, 3), st.text("abcx", max_size=3)
    ),
    max_size=25,
)


def history(steps: list[tuple[str, int, int, str]]) -> tuple[list[OutboxRow], dict[str, Row]]:
    """What a table's triggers capture while it goes through these steps, and the rows that it ends with."""
    table: dict[str, Row] = {}
    events: list[OutboxRow] = []
    for seq, (step, number, other, tags) in enumerate(steps, 1):
        key, row = str(number), table.get(str(number))
        new: Row = {"id": str(other) if step == "K" else key, "tags": tags}
        if step == "T":
            events.append(event("T", seq, width=2))
            table.clear()
        elif row is None and step in "IS":
            events.append(insert(seq, new) if step == "I" else snapshot(seq, new))
            table[key] = new
        elif row is not None and step == "D":
            events.append(delete(seq, table.pop(key)))
        elif row is not None and (step == "U" or (step == "K" and str(other) not in table)):
            events.append(update(seq, table.pop(key), new))
            table[str(new["id"])] = new
    return events, table


def held(
    batch_tables: list[TableChanges],
) -> dict[tuple[str, tuple[str | None, ...]], tuple[str | None, ...]]:
    """What the targets hold after every change, in order."""
    target_rows: dict[tuple[str, tuple[str | None, ...]], tuple[str | None, ...]] = {}
    for table in batch_tables:
        for change in table.changes:
            if change.values is None:
                target_rows = {place: row for place, row in target_rows.items() if place[0] != table.target}
                continue
            place = (table.target, tuple(change.values[position] for position in table.key_positions()))
            if change.clause == "INSERT":
                target_rows[place] = change.values
            else:
                target_rows.pop(place, None)
    return target_rows


@given(STEPS)
@settings(max_examples=300)
def test_targets_end_as_the_transform_of_the_source(steps: list[tuple[str, int, int, str]]) -> None:
    events, table = history(steps)
    for transform in (by_tag, None):
        transforms._registered.clear()
        if transform is not None:
            on(TABLE)(transform)
        result = routed(rows(*events, columns=TAGS), to=TAG_ROUTES)
        ending = [snapshot(1_000 + position, row) for position, row in enumerate(table.values())]
        expected = routed(rows(*ending, columns=TAGS), to=TAG_ROUTES)
        assert result.dead == expected.dead == []
        assert held(result.batch.tables) == held(expected.batch.tables)
