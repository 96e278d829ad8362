"""A source that is restored or replaced: it begins a new epoch, and the target is equal to it again, unattended."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.db_triggers.captured import Captured
from tests.integration.transform.replicated import Replicated
from tests.integration.transform.restored import Sources, sources

TABLES = """
create table account (id int primary key, n int not null default 0, name text);
create table visit (place text collate "C", id int, n int, primary key (place, id)) partition by range (id);
create table visit_low partition of visit for values from (minvalue) to (50);
create table visit_high partition of visit for values from (50) to (maxvalue);
create table seat (id int primary key, n int);
"""
UNNOTICED_INSIDE = ("stopped_copy", "running_copy")
NOTICED = ("point_in_time", "standby", "dump", "dump_onto_a_busy_server", "copied_database")


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Sources]:
    with sources(tmp_path) as made:
        yield made


@pytest.fixture
def shop(servers: Sources, database: str) -> Iterator[Replicated]:
    """A source on a server of its own, whose target has its rows."""
    with closing(Replicated(servers.dsn, database)) as shop:
        shop.run(TABLES)
        shop.install("public.account", "public.visit", "public.seat")
        shop.run("insert into account select g, 0, 'from the start' from generate_series(1, 200) as g")
        shop.run("insert into visit select 'p' || g % 7, g, 0 from generate_series(1, 99) as g")
        shop.run("insert into seat select g, 0 from generate_series(1, 20) as g")
        shop.drain()
        yield shop


def leave_things_half_done(shop: Captured) -> None:
    """At the moment of the copy: a batch that nobody has taken, and events that are in no batch."""
    shop.run("update account set n = n + 1 where id <= 30; delete from account where id > 190")
    shop.outbox.open_batches(10)
    shop.run("insert into account values (1000, 0, 'in no batch'); delete from visit where id < 10")


def go_on(shop: Captured) -> None:
    """What the lost history has and the restored one has not."""
    shop.run(
        "update account set n = n + 100, name = 'lost' where id <= 60; delete from account where id between 70 and 80"
    )
    shop.run("insert into account select g, 7, 'lost' from generate_series(2000, 2100) as g")
    shop.run("update account set id = id + 5000 where id between 90 and 95; truncate seat")
    shop.run(
        "insert into seat values (1, 77), (500, 77); update visit set id = id + 40 where id between 20 and 60"
    )
    shop.drain()


def go_another_way(shop: Captured) -> None:
    """What the application does after the restore: other changes of the same rows, fewer than were lost."""
    shop.run(
        "update account set n = n + 1, name = 'new' where id in (1, 2, 71); insert into account values (2001, 1, 'new')"
    )
    shop.run("delete from account where id = 3; update account set id = 5090 where id = 91")
    shop.run("insert into seat values (500, 1); delete from visit where id = 61")


@pytest.mark.parametrize("afterwards", [go_another_way, lambda shop: None], ids=["busy", "quiet"])
@pytest.mark.parametrize("way", (*UNNOTICED_INSIDE, *NOTICED))
def test_a_target_is_equal_again_after_its_source_was_restored(
    servers: Sources, shop: Replicated, way: str, afterwards: object, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_things_half_done(shop)
    shop.reconnect(servers.dsn)
    restore = getattr(servers, way)()
    shop.reconnect(servers.dsn)
    go_on(shop)
    shop.reconnect(restore())
    assert callable(afterwards)
    afterwards(shop)
    assert shop.differences() == []
    epochs = shop.epochs()
    assert [epoch for epoch, _ in epochs] == [1, 2]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    told = [line for line in lines if line["level"] == "ERROR"]
    assert [(line["source"], line["epoch"], line["reason"]) for line in told] == [("shop", 2, epochs[1][1])]
    assert shop.run(
        "select count(*), count(*) filter (where state = 'finished') from pgevents.snapshot_request"
    ) == [(3, 3)]
    assert shop.differences() == []
    assert len(shop.epochs()) == 2
