"""A source that is restored or replaced: it begins a new epoch, and the target is equal to it again, unattended."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.db_triggers.captured import Captured
from tests.integration.db_triggers.conftest import slow
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
    shop.run("alter table visit add column early int default 4; insert into visit values ('q', 30, 1, 5)")


def rest(shop: Captured) -> None:
    """Nothing at all: no batch is opened in which a sink could notice anything."""


@pytest.mark.parametrize(
    ("way", "afterwards"),
    [
        *((way, go_another_way) for way in (*UNNOTICED_INSIDE, *NOTICED)),
        *((way, rest) for way in UNNOTICED_INSIDE),
        *(pytest.param(way, rest, marks=slow) for way in NOTICED),
    ],
)
def test_a_target_is_equal_again_after_its_source_was_restored(
    servers: Sources,
    shop: Replicated,
    way: str,
    afterwards: Callable[[Captured], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    leave_things_half_done(shop)
    shop.reconnect(servers.dsn)
    restore = getattr(servers, way)()
    shop.reconnect(servers.dsn)
    go_on(shop)
    shop.reconnect(restore())
    afterwards(shop)
    assert shop.differences() == []
    epochs = shop.epochs()
    assert [epoch for epoch, _ in epochs] == [1, 2]
    assert told(capsys) == [("shop", 2, epochs[1][1])]
    assert requests(shop) == ["baseline finished"] * 3
    # Capture follows its tables as before, and nothing more is found.
    shop.run("alter table account add column later text; update account set n = n + 1 where id < 9")
    assert shop.differences() == []
    assert shop.run("select ended from pgevents.captured_table") == [(None,)] * 3
    assert len(shop.epochs()) == 2


def told(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, int, str]]:
    """The errors in the log of the drain."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    return [(line["source"], line["epoch"], line["reason"]) for line in lines if line["level"] == "ERROR"]


def requests(shop: Captured) -> list[str]:
    return [
        f"{kind} {state}" for kind, state in shop.run("select kind, state from pgevents.snapshot_request")
    ]


def test_a_source_that_is_restored_twice_goes_beyond_every_epoch_that_a_sink_has_seen(
    servers: Sources, shop: Replicated, tmp_path: Path
) -> None:
    restore = servers.stopped_copy()
    shutil.copytree(tmp_path / "stopped copy", tmp_path / "second copy")
    shop.reconnect(servers.dsn)
    go_on(shop)
    shop.reconnect(restore())
    go_another_way(shop)
    assert shop.differences() == []
    shop.run("update account set n = -1 where id < 100; delete from visit")
    assert shop.differences() == []
    (tmp_path / "second copy").rename(tmp_path / "stopped copy")
    shop.reconnect(restore())
    shop.run("update account set n = -2 where id < 5")
    assert shop.differences() == []
    assert shop.epochs()[-1][0] == 3


def test_a_transaction_with_a_number_that_the_lost_history_had_too_is_not_lost(
    servers: Sources, shop: Replicated
) -> None:
    restore = servers.dump()
    shop.reconnect(restore())
    with shop.connect() as writer, writer.transaction():
        writer.execute("update account set n = 9 where id = 9; delete from account where id = 10")
        assert shop.sweep().events > 0
        assert requests(shop) == ["baseline running", "baseline finished", "baseline finished"]
    assert shop.differences() == []
    assert len(shop.epochs()) == 2


def test_requests_that_were_under_way_start_again_as_baselines(servers: Sources, shop: Replicated) -> None:
    shop.run("select pgevents.request_snapshot('public.account', 'backfill', null, 'before')")
    shop.run("select pgevents.request_snapshot('public.account', 'repair', '[{\"id\": \"1\"}]', 'before')")
    shop.run("select pgevents.advance_snapshots(50) from generate_series(1, 3)")
    shop.reconnect(servers.dsn)
    restore = servers.point_in_time()
    shop.reconnect(servers.dsn)
    go_on(shop)
    shop.reconnect(restore())
    assert shop.differences() == []
    assert requests(shop) == [
        "baseline finished",
        "repair finished",
        "baseline finished",
        "baseline finished",
    ]


def test_a_server_that_was_only_restarted_or_crashed_begins_no_epoch(
    servers: Sources, shop: Replicated
) -> None:
    for mode in ("fast", "immediate"):
        leave_things_half_done(shop)
        shop.run("truncate account; truncate visit")
        servers.server.restart(mode)
        shop.reconnect(servers.dsn)
        assert shop.differences() == []
    assert shop.epochs() == [(1, "capture was installed")]


def test_what_a_sink_has_is_in_the_source_after_a_crash_though_commits_do_not_wait_for_the_disk(
    servers: Sources, shop: Replicated
) -> None:
    assert shop.run("show synchronous_commit") == [("off",)]
    for number in range(5):
        shop.run(f"update account set n = {number} where id = 1; insert into seat values ({number + 100})")
        shop.drain()
        servers.server.kill()
        servers.server.start()
        shop.reconnect(servers.dsn)
        assert ("1",) in shop.target_rows("public.account", "t0")
        assert shop.target_rows("public.account", "t0") == shop.table_rows("public.account")
        assert shop.target_rows("public.seat", "t2") == shop.table_rows("public.seat")
    assert shop.differences() == []
    assert shop.epochs() == [(1, "capture was installed")]


def test_an_upgrade_from_the_version_without_epochs_begins_none(shop: Replicated) -> None:
    shop.run(
        "drop table pgevents.epoch, pgevents.snapshot_request, pgevents.lost_batch cascade;"
        " delete from pgevents.migration where name like '0002%'; update pgevents.setting set epoch = 4"
    )
    assert shop.install("public.account", "public.visit", "public.seat").migrations == [
        "0002_epochs_and_snapshots.sql"
    ]
    shop.run("update account set n = 1")
    assert shop.differences() == []
    assert shop.epochs() == [(4, "capture was installed")]
    assert requests(shop) == []


def test_a_sequence_that_was_set_back_begins_an_epoch_and_runs_ahead_of_the_ledger(shop: Replicated) -> None:
    shop.run("select setval('pgevents.event_seq', 1)")
    shop.run("update account set n = 5 where id = 5; delete from account where id = 6")
    assert shop.differences() == []
    assert shop.epochs()[1][1].startswith("the ledger is ahead of the sequence: an event has number 3")
    assert shop.run("select last_value > 1000000000 from pgevents.event_seq") == [(True,)]


def test_a_captured_table_that_was_not_copied_is_captured_no_longer(
    servers: Sources, shop: Replicated
) -> None:
    restore = servers.dump()
    shop.reconnect(restore())
    shop.run("alter event trigger pgevents_follow_drop disable; drop table seat")
    shop.sweep()
    assert shop.run("select name, ended from pgevents.captured_table where ended is not null") == [
        ("public.seat", "the table is not in this copy of the database")
    ]
    assert shop.target_rows("public.account", "t0") == shop.table_rows("public.account")
