"""Attacks on the version guard: whatever is repeated, late or reordered, the true order is what remains."""

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from pgevents.batch import Change, Mode, Values
from tests.integration.transform.sinks.batches import (
    Rows,
    batch,
    delete,
    deliveries,
    in_order,
    insert,
    table,
    traffic,
    truncate,
)
from tests.integration.transform.sinks.conftest import Connect
from transform.sinks.postgres import PostgresSink

NUMBERS: list[Values] = [(str(number),) for number in range(5)]
PAIRS: list[Values] = [("a", "1"), ("a", "2"), ("b", "1"), ('"', "1")]
MOMENTS: list[Values] = [("2026-11-22 15:04:05.000001+00",), ("0044-03-15 12:00:00+00 BC",), ("infinity",)]
KEYS: list[tuple[str, Sequence[str], list[Values]]] = [
    ("id bigint, name text", ("id",), NUMBERS),
    ("region text, number smallint, name text", ("region", "number"), PAIRS),
    ("region text, number smallint, name text", ("number", "region"), PAIRS),
    ("at timestamp with time zone, name text", ("at",), MOMENTS),
]


def rows_of(target: psycopg.Connection[Any], columns: str, name: str = "account") -> Rows:
    names = [column.split()[0] for column in columns.split(", ")]
    texts = ", ".join(f"{column}::text" for column in names)
    target.execute("set timezone = 'UTC'")
    found = target.execute(f"select _version, {texts} from replica.{name}").fetchall()
    return {row[1:-1]: (row[0], row[1:]) for row in found}


def history_of(target: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    return target.execute(
        "select _version, _clause, id::text, name from replica.account_history order by 1, 2, 3"
    ).fetchall()


def as_history(changes: Sequence[Change]) -> list[tuple[Any, ...]]:
    rows = [(change.version, change.clause, *(change.values or (None, None))) for change in changes]
    return sorted(rows, key=lambda row: (row[0], row[1], row[2] or ""))


@pytest.mark.parametrize(("columns", "key", "keys"), KEYS)
@pytest.mark.parametrize("seed", range(6))
def test_rows_equal_the_true_order_whatever_way_the_batches_come(
    connect: Connect,
    target: psycopg.Connection[Any],
    seed: int,
    columns: str,
    key: Sequence[str],
    keys: list[Values],
) -> None:
    chance = random.Random(seed)
    changes = traffic(chance, keys, 80)
    sinks = [PostgresSink(connect(), "replica") for _ in range(3)]

    for number, part in deliveries(chance, changes):
        chance.choice(sinks).apply(batch(table(part, columns, key), batch_id=number))

    assert rows_of(target, columns) == in_order(changes, len(key))


@pytest.mark.parametrize("seed", range(4))
def test_history_has_every_version_once_whatever_way_the_batches_come(
    sink: PostgresSink, target: psycopg.Connection[Any], seed: int
) -> None:
    chance = random.Random(seed)
    changes = traffic(chance, NUMBERS, 80)
    mode: Mode = chance.choice(["history", "both"])

    for number, part in deliveries(chance, changes):
        sink.apply(batch(table(part, mode=mode), batch_id=number))

    assert history_of(target) == as_history(changes)
    if mode == "both":
        assert rows_of(target, "id bigint, name text") == in_order(changes, 1)


@pytest.mark.parametrize("seed", range(4))
def test_writers_at_the_same_moment_leave_the_rows_of_the_true_order(
    connect: Connect, target: psycopg.Connection[Any], seed: int
) -> None:
    chance = random.Random(seed)
    targets = ["account", "holder"]
    changes = {name: traffic(chance, NUMBERS, 60) for name in targets}
    plans = [
        [
            (name, number + 10_000 * position, part)
            for position, name in enumerate(targets)
            for number, part in deliveries(chance, changes[name])
        ]
        for _ in range(4)
    ]
    for plan in plans:
        chance.shuffle(plan)

    def follow(writer: int) -> None:
        sink = PostgresSink(connect(), "replica")
        for name, number, part in plans[writer]:
            # A source of its own for each writer: no token stops any, and only the guard stands between them.
            sink.apply(batch(table(part, target=name, mode="both"), source=str(writer), batch_id=number))

    with ThreadPoolExecutor(len(plans)) as writers:
        list(writers.map(follow, range(len(plans))))

    for name in targets:
        assert rows_of(target, "id bigint, name text", name) == in_order(changes[name], 1)
    assert history_of(target) == as_history(changes["account"])


def test_late_insert_does_not_bring_back_a_deleted_row(
    sink: PostgresSink, target: psycopg.Connection[Any]
) -> None:
    sink.apply(batch(table([delete(5, "1", None)]), batch_id=2))
    sink.apply(batch(table([insert(4, "1", "Ada"), insert(6, "2", "Bob")]), batch_id=1))

    assert rows_of(target, "id bigint, name text") == {("2",): (6, ("2", "Bob"))}


def test_row_inserted_again_after_its_deletion_stays(
    sink: PostgresSink, target: psycopg.Connection[Any]
) -> None:
    sink.apply(batch(table([insert(7, "1", "again")]), batch_id=3))
    sink.apply(batch(table([delete(5, "1", None)]), batch_id=2))
    sink.apply(batch(table([insert(4, "1", "first")]), batch_id=1))

    assert rows_of(target, "id bigint, name text") == {("1",): (7, ("1", "again"))}


def test_truncation_takes_late_rows_too_but_no_newer_ones(
    sink: PostgresSink, target: psycopg.Connection[Any]
) -> None:
    sink.apply(batch(table([insert(1, "1", "old"), insert(9, "2", "new")]), batch_id=1))
    sink.apply(batch(table([truncate(5)]), batch_id=2))
    sink.apply(batch(table([insert(3, "3", "late"), insert(6, "4", "new too")]), batch_id=3))
    sink.apply(batch(table([truncate(2)]), batch_id=4))
    sink.apply(batch(table([insert(4, "5", "later still")]), batch_id=5))

    assert rows_of(target, "id bigint, name text") == {
        ("2",): (9, ("2", "new")),
        ("4",): (6, ("4", "new too")),
    }


def test_one_key_under_two_texts_is_one_row(sink: PostgresSink, target: psycopg.Connection[Any]) -> None:
    columns = "id numeric, name text"
    sink.apply(
        batch(table([insert(1, "1.0", "one"), insert(3, "1.00", "newest"), insert(2, "1", "two")], columns))
    )
    found = target.execute("select name, _version from replica.account").fetchall()
    assert found == [("newest", 3)]

    sink.apply(batch(table([delete(5, "1.000", None)], columns), batch_id=2))
    sink.apply(batch(table([insert(4, "1", "late")], columns), batch_id=3))
    assert target.execute("select * from replica.account").fetchall() == []
