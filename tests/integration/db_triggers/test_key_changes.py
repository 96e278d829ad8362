"""Keys that move within one statement: what one row leaves, another may take."""

import pytest

from pgevents.config import Table
from tests.integration.db_triggers.captured import Captured

DEFERRABLE = (
    "create table seat (id int, who text, constraint seat_key primary key (id) deferrable initially {})"
)


@pytest.fixture(params=["immediate", "deferred"])
def seat(captured: Captured, request: pytest.FixtureRequest) -> Captured:
    captured.run(DEFERRABLE.format(request.param))
    captured.install("public.seat")
    captured.run("insert into seat values (1, 'ann'), (2, 'bob'), (3, 'cid')")
    return captured


def test_two_rows_swap_their_keys(seat: Captured) -> None:
    seat.run("update seat set id = 3 - id where id < 3")
    assert seat.differences() == []


def test_all_rows_move_up_by_one(seat: Captured) -> None:
    seat.run("update seat set id = id + 1")
    assert seat.differences() == []


def test_all_rows_move_down_by_one(seat: Captured) -> None:
    seat.run("update seat set id = id - 1")
    assert seat.differences() == []


def test_keys_swapped_with_a_detour_in_one_transaction(captured: Captured) -> None:
    captured.run("create table seat (id int primary key, who text)")
    captured.install("public.seat")
    captured.run("insert into seat values (1, 'ann'), (2, 'bob')")
    with captured.app.transaction():
        captured.run("update seat set id = 0 where id = 1; update seat set id = 1 where id = 2")
        captured.run("update seat set id = 2 where id = 0")
    assert captured.differences() == []


def test_a_key_that_nothing_keeps_unique_may_be_swapped_too(captured: Captured) -> None:
    captured.run("create table seat (id int not null, who text)")
    captured.install(Table("public.seat", key=("id",)))
    captured.run("insert into seat values (1, 'ann'), (2, 'bob'); update seat set id = 3 - id")
    assert captured.differences() == []


def test_a_key_made_deferrable_later_may_be_swapped(captured: Captured) -> None:
    captured.run("create table seat (id int primary key, who text)")
    captured.install("public.seat")
    captured.run("insert into seat values (1, 'ann'), (2, 'bob')")
    captured.run("alter table seat drop constraint seat_pkey, add primary key (id) deferrable")
    captured.run("update seat set id = 3 - id")
    assert captured.differences() == []


def test_an_ordinary_update_of_such_a_table_is_settled_by_nothing(seat: Captured) -> None:
    seat.events()
    seat.run("update seat set who = upper(who)")
    assert seat.operations() == ["U"] * 3


def test_keys_that_are_doubled_until_the_commit(captured: Captured) -> None:
    captured.run(DEFERRABLE.format("deferred"))
    captured.install("public.seat")
    captured.run("insert into seat values (1, 'ann'), (2, 'bob'), (3, 'cid')")
    with captured.app.transaction():
        captured.run("update seat set id = 2 where who = 'ann'")
        captured.run("update seat set id = 1 where who = 'bob'")
        captured.run("insert into seat values (3, 'dan')")
        captured.run("delete from seat where who = 'cid'")
    assert captured.differences() == []
