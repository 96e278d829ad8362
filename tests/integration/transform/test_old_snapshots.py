"""TRUNCATE, ATTACH and DETACH of a partition touch rows that the transaction's snapshot does not show."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from ops.status.waiting import wait_until_applied
from pgevents.config import Table
from tests.integration.transform.replicated import Replicated

TABLES = """
create table visit (id int, place text, n int default 0) partition by list (place);
create table visit_a partition of visit for values in ('a');
create table visit_b partition of visit for values in ('b');
create table visit_c (id int, place text, n int default 0);
insert into visit values (1, 'a'), (2, 'a'), (3, 'b');
insert into visit_c values (50, 'c'), (51, 'c');
"""
REQUESTS = "select kind, state from pgevents.snapshot_request order by request_id"


@pytest.fixture
def shop(database: str, postgres_server: Any) -> Iterator[Replicated]:
    sink = f"{database.rsplit('/', 1)[1]}_sink"
    postgres_server.create_database(sink)
    with closing(Replicated(database, postgres_server.dsn(sink))) as shop:
        shop.run(TABLES)
        # The key leaves out the partition: a row keeps it when it moves.
        shop.install(Table("public.visit", key=("id",)))
        shop.run("select pgevents.request_snapshot('public.visit', 'backfill', null, 'test')")
        assert shop.differences() == []
        shop.run("delete from pgevents.snapshot_request")
        yield shop
    postgres_server.drop_database(sink)


def change_behind(
    shop: Replicated, level: str, meanwhile: str, statement: str, ending: str = "commit"
) -> None:
    """Runs a statement in a transaction whose snapshot is older than what was committed meanwhile."""
    with shop.connect() as other:
        other.execute(f"begin isolation level {level}; select 1 from pgevents.setting".encode())
        shop.run(meanwhile)
        shop.drain()
        other.execute(statement.encode())
        other.execute(ending.encode())


TRUNCATE = "truncate visit_a"
DETACH = "alter table visit detach partition visit_a"
ATTACH = "alter table visit attach partition visit_c for values in ('c')"
NEW = "insert into visit values (7, 'a')"
MOVED_AWAY = "update visit set place = 'b' where id = 1"
MOVED_HERE = "update visit set place = 'a' where id = 3"


@pytest.mark.parametrize(
    ("level", "meanwhile", "statement"),
    [
        ("repeatable read", NEW, TRUNCATE),
        ("serializable", MOVED_AWAY, TRUNCATE),
        ("repeatable read", MOVED_HERE, TRUNCATE),
        ("serializable", NEW, DETACH),
        ("repeatable read", MOVED_AWAY, DETACH),
        ("serializable", "insert into visit_c values (52, 'c')", ATTACH),
        ("repeatable read", "update visit_c set n = 5 where id = 50", ATTACH),
    ],
)
def test_rows_that_an_old_snapshot_shows_otherwise_come_out_right(
    shop: Replicated, level: str, meanwhile: str, statement: str
) -> None:
    change_behind(shop, level, meanwhile, statement)
    assert shop.differences() == []
    assert shop.run(REQUESTS) == [("baseline", "finished")]
    shop.run("insert into visit values (8, 'b'); update visit set n = 6 where id = 3")
    assert shop.differences() == []


def test_whoever_prepares_or_goes_on_after_a_savepoint_asks_as_well(shop: Replicated) -> None:
    change_behind(shop, "serializable", NEW, f"savepoint s; {TRUNCATE}; rollback to s; {TRUNCATE}",
                  "insert into visit values (9, 'a'); prepare transaction 'late'")  # fmt: skip
    shop.drain()
    assert shop.run(REQUESTS) == []
    shop.run("commit prepared 'late'")
    assert shop.differences() == []
    assert shop.run(REQUESTS) == [("baseline", "finished")]


@pytest.mark.parametrize(
    ("level", "meanwhile", "statement", "ending"),
    [
        ("read committed", NEW, TRUNCATE, "commit"),
        ("serializable", NEW, TRUNCATE, "rollback"),
        ("serializable", NEW, "truncate visit", "commit"),
        ("serializable", NEW, "create table visit_d partition of visit for values in ('d')", "commit"),
        ("repeatable read", "begin; insert into visit values (7, 'a'); rollback", TRUNCATE, "commit"),
        ("repeatable read", "", f"savepoint s; insert into visit values (7, 'a'); release s; {TRUNCATE}", "commit"),
    ],
)  # fmt: skip
def test_nothing_is_sent_again_where_nothing_can_be_missing(
    shop: Replicated, level: str, meanwhile: str, statement: str, ending: str
) -> None:
    change_behind(shop, level, meanwhile, statement, ending)
    assert shop.differences() == []
    assert shop.run(REQUESTS) == []


def test_many_of_them_are_answered_by_one_baseline(shop: Replicated) -> None:
    with shop.connect() as first, shop.connect() as second:
        for other in (first, second):
            other.execute("begin isolation level repeatable read; select 1 from pgevents.setting")
        shop.run("insert into visit values (7, 'a'), (8, 'b')")
        first.execute("savepoint s; truncate visit_a; release s; truncate visit_a; commit")
        second.execute("truncate visit_b; commit")
    assert shop.run(REQUESTS) == [("baseline", "waiting")] * 2
    assert shop.differences() == []
    assert shop.run(REQUESTS) == [("baseline", "finished")]


def test_serializable_transactions_do_not_stand_in_each_others_way_by_it(shop: Replicated) -> None:
    with shop.connect() as first, shop.connect() as second:
        for other in (first, second):
            other.execute("begin isolation level serializable; select 1 from pgevents.setting")
        shop.run(NEW)
        first.execute(TRUNCATE)
        second.execute("truncate visit_b")
        first.execute("commit")
        second.execute("commit")
    assert shop.differences() == []


def test_it_is_waited_for_until_the_rows_are_gone_from_the_targets(shop: Replicated) -> None:
    change_behind(shop, "repeatable read", NEW, TRUNCATE)
    shop.new_drain(shop.outbox, 0.0).run()
    assert not wait_until_applied({"shop": shop.dsn}, 0.0).everything_applied
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(wait_until_applied, {"shop": shop.dsn}, 60.0)
        while not waiting.done():
            shop.drain()
    assert waiting.result().everything_applied
    assert ("7",) not in shop.target_rows("public.visit", "t0")
