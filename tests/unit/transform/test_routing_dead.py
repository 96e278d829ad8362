"""Which events die, of what, and which of the others wait behind them."""

import re
from collections.abc import Iterator
from datetime import date

import msgspec
import pytest

from pgevents import ChangeEvent, Record, on, transforms
from pgevents.batch import Change
from pgevents.errors import InputError
from tests.unit.transform.routed import (
    ANN,
    BOB,
    COLUMNS,
    TABLE,
    brought,
    delete,
    insert,
    only_dead,
    route,
    routed,
    rows,
    truncate,
    update,
    version,
)
from transform.routing import DeadKeys

pytestmark = pytest.mark.usefixtures("own_registry")


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
            "key": ["id"],
            "transaction_id": 4711,
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
        result = routed(
            rows(insert(9, ANN), insert(10, BOB)), dead_keys={("public.account", ("1",)): version(5)}
        )
        assert (only_dead(result).seq, only_dead(result).error) == (9, self.WAITS)

    def test_batch_from_before_the_death_is_read_again_unchanged(self) -> None:
        result = routed(rows(insert(4, ANN)), dead_keys={("public.account", ("1",)): version(5)})
        assert result.dead == []
        assert result.batch.tables[0].changes == [brought(4, "1", "Ann", "10.00", "t")]

    def test_batch_with_the_dead_event_is_read_again_unchanged(self) -> None:
        dies_for("poison")
        table = rows(
            insert(5, ANN), update(6, ANN, {**ANN, "name": "poison"}), delete(7, {**ANN, "name": "poison"})
        )
        dead_keys: DeadKeys = {}
        first = routed(table, dead_keys=dead_keys)
        transforms.forget()  # the team has mended its transform meanwhile
        again = routed(table, dead_keys=dead_keys)
        assert again.batch == first.batch
        assert [dead.seq for dead in again.dead] == [dead.seq for dead in first.dead] == [6, 7]

    def test_change_of_a_dead_row_s_key_makes_the_new_key_wait_too(self) -> None:
        moved = {**ANN, "id": "9"}
        dead_keys: DeadKeys = {("public.account", ("1",)): version(5)}
        result = routed(
            rows(update(6, ANN, moved), update(7, moved, {**moved, "name": "x"})), dead_keys=dead_keys
        )
        assert [dead.seq for dead in result.dead] == [6, 7]
        assert dead_keys == {("public.account", ("1",)): version(5), ("public.account", ("9",)): version(6)}
        assert result.batch.tables == []

    def test_row_that_takes_a_dead_row_s_key_waits(self) -> None:
        result = routed(
            rows(update(6, BOB, {**BOB, "id": "1"})), dead_keys={("public.account", ("1",)): version(5)}
        )
        assert [dead.seq for dead in result.dead] == [6]

    def test_same_key_of_another_table_does_not_wait(self) -> None:
        result = routed(rows(insert(6, ANN)), dead_keys={("public.login", ("1",)): version(5)})
        assert result.dead == []

    def test_truncate_does_not_wait(self) -> None:
        result = routed(rows(truncate(6)), dead_keys={("public.account", ("1",)): version(5)})
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
        result = routed(
            rows(*events), dead_keys={("public.account", ("1",)): version(7)}, refused={5: "too long"}
        )
        assert [dead.seq for dead in result.dead] == [5, 6, 7]
