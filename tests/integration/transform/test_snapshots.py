"""Backfill, baseline and repair on a real database, beside everything that an application may do meanwhile."""

import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from random import Random
from typing import Any

import psycopg
import pytest

from pgevents.config import Table
from tests.integration.db_triggers.conftest import slow
from tests.integration.transform.failing import Failing, Interruption
from tests.integration.transform.replicated import Replicated
from transform import drain as transform_drain
from transform.source import snapshots as transform_snapshots
from transform.source.outbox import Outbox

TABLES = """
create table account (id int primary key, n int not null default 0);
create table visit (place text, id int, n int, primary key (place, id)) partition by range (id);
create table visit_low partition of visit for values from (minvalue) to (60);
create table visit_high partition of visit for values from (60) to (maxvalue) partition by list (place);
create table visit_high_a partition of visit_high for values in ('ä', 'b');
create table visit_high_rest partition of visit_high default;
"""
ROWS = """
insert into account select g, 0 from generate_series(1, 400) as g;
insert into visit select (array['ä', 'b', 'Z', 'z''\\'])[1 + g % 4], g, 0 from generate_series(1, 120) as g;
"""
KINDS = ("backfill", "baseline")


@pytest.fixture
def shop(database: str, postgres_server: Any) -> Iterator[Replicated]:
    """A source with rows that were there before it was captured, and its target in another database."""
    sink = f"{database.rsplit('/', 1)[1]}_sink"
    postgres_server.create_database(sink)
    with closing(Replicated(database, postgres_server.dsn(sink))) as shop:
        shop.run(TABLES + ROWS)
        shop.install("public.account", "public.visit", doorbell="notify")
        yield shop
    postgres_server.drop_database(sink)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transform_drain, "CHUNK_ROWS", 37)


def ask(shop: Replicated, kind: str, table: str = "public.account", keys: str | None = None) -> int:
    return int(
        shop.run("select pgevents.request_snapshot(%s, %s, %s::json, 'test')", table, kind, keys)[0][0]
    )


def states(shop: Replicated) -> list[str]:
    return [state for (state,) in shop.run("select state from pgevents.snapshot_request order by request_id")]


def plant_strays(shop: Replicated) -> None:
    """Rows in the targets that the source does not have, and wrong values in those that it has."""
    shop.looking.execute(
        "insert into replica.t0 (id, n, _version) values (-1, 1, 1), (-2, 2, 2) on conflict do nothing;"
        " update replica.t0 set n = -7, _version = 1 where id % 5 = 0"
    )


def test_rows_from_before_the_capture_reach_the_target_by_a_backfill(shop: Replicated) -> None:
    assert shop.drain().events == 0
    ask(shop, "backfill")
    ask(shop, "backfill", "public.visit")
    assert shop.differences() == []
    assert states(shop) == ["finished", "finished"]
    assert len(shop.target_rows("public.account", "t0")) == 400
    assert shop.run("select row_count from pgevents.snapshot_request") == [(400,), (120,)]


def test_a_baseline_takes_away_what_the_table_does_not_have(shop: Replicated) -> None:
    ask(shop, "backfill")
    shop.drain()
    plant_strays(shop)
    assert len(shop.target_rows("public.account", "t0")) == 402
    ask(shop, "backfill")
    shop.drain()
    assert set(shop.target_rows("public.account", "t0")) - set(shop.table_rows("public.account")) == {
        ("-1",),
        ("-2",),
    }
    ask(shop, "baseline")
    ask(shop, "baseline", "public.visit")
    assert shop.differences() == []


def test_a_repair_sends_the_rows_of_its_keys_and_deletes_where_there_is_none(shop: Replicated) -> None:
    ask(shop, "backfill", "public.visit")
    ask(shop, "baseline")
    shop.drain()
    plant_strays(shop)
    wrong = [{"id": str(number)} for number in (-1, -2, *range(5, 401, 5), 1000)]
    assert len(wrong) == 83
    ask(shop, "repair", keys=str(wrong).replace("'", '"'))
    assert shop.drain().events == 83
    assert shop.differences() == []


def test_a_repair_reads_keys_of_several_columns_and_of_any_text(shop: Replicated) -> None:
    ask(
        shop,
        "repair",
        "public.visit",
        '[{"place": "z\'\\\\", "id": "3"}, {"id": 4, "place": "ä"}, {"place": "none", "id": "1"}]',
    )
    shop.drain()
    assert shop.target_rows("public.visit", "t1") == {
        ("z'\\", "3"): {"place": "z'\\", "id": "3", "n": "0"}, ("ä", "4"): {"place": "ä", "id": "4", "n": "0"},
    }  # fmt: skip


# Concurrent writers. Each lets a test look at what a chunk's numbers are compared with: transactions that drew
# theirs earlier or later, and committed earlier or later.


def write_one(connection: psycopg.Connection[Any], random: Random) -> None:
    table = random.choice(("account", "visit"))
    key, other = random.randint(1, 130), random.randint(1, 130)
    place = random.choice(("'ä'", "'b'", "'Z'", "'z''\\'"))
    new_row = f"({key}, 1)" if table == "account" else f"({place}, {key}, 1)"
    statement = random.choices(
        (
            f"insert into {table} values {new_row} on conflict do nothing",
            f"update {table} set n = n + 1 where id between {key} and {key + 3}",
            f"update {table} set id = id + 1000 where id = {key}",
            f"update {table} set id = id - 1000 where id = {other + 1000}",
            f"delete from {table} where id = {key} or id = {other}",
            f"with gone as (delete from {table} where id = {key} returning *) insert into {table} select * from gone",
            f"truncate {table}",
            "truncate visit_high_a",
        ),
        (25, 30, 12, 12, 15, 10, 1, 1),
    )[0]  # fmt: skip
    connection.execute(statement.encode())


# What PostgreSQL may tell any of these writers, with no trigger there too. The last: an UPDATE waited for a row
# that meanwhile moved to another partition.
MEETINGS = (
    psycopg.errors.UniqueViolation,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)


def write_until(shop: Replicated, done: threading.Event, seed: int, pause: float) -> None:
    """Transactions of a few statements; some stay open for `pause` seconds after they have written."""
    random = Random(seed)
    with shop.connect() as connection:
        while not done.is_set():
            try:
                with connection.transaction(force_rollback=random.random() < 0.15):
                    for _ in range(random.randint(1, 3)):
                        with connection.transaction(force_rollback=random.random() < 0.15):
                            write_one(connection, random)
                    time.sleep(random.choice((0, 0, pause)))
            except MEETINGS:
                pass


def drain_until(shop: Replicated, done: threading.Event) -> None:
    outbox = Outbox(shop.outbox.source, shop.lambda_connection())
    while not done.is_set():
        shop.new_drain(outbox, 0.5).run()


def requests_end(shop: Replicated, seconds: float = 150.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not shop.run("select 1 from pgevents.snapshot_request where state in ('waiting', 'running')"):
            return True
        time.sleep(0.1)
    return False


@contextmanager
def traffic(shop: Replicated, seed: int) -> Iterator[None]:
    """Six writers and a drain, as long as the block runs."""
    done = threading.Event()
    with ThreadPoolExecutor(7) as threads:
        running = [threads.submit(drain_until, shop, done)]
        running += [threads.submit(write_until, shop, done, seed * 10 + number, 0.15) for number in range(6)]
        try:
            yield
        finally:
            done.set()
        for each in running:
            each.result()


@pytest.mark.parametrize("seed", range(4))
def test_requests_beside_six_writers_end_with_equal_tables(shop: Replicated, seed: int) -> None:
    shop.drain()
    with traffic(shop, seed):
        for turn in range(3):
            for table in ("public.account", "public.visit"):
                ask(shop, KINDS[(seed + turn) % 2], table)
            keys = ", ".join(f'{{"id": "{number}"}}' for number in range(1, 140))
            ask(shop, "repair", keys=f"[{keys}]")
            assert requests_end(shop), states(shop)
    assert set(states(shop)) == {"finished"}
    ask(shop, "baseline")
    ask(shop, "baseline", "public.visit")
    assert shop.differences() == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_writer_that_drew_its_number_before_the_chunk_and_commits_late_is_waited_for(
    shop: Replicated, kind: str
) -> None:
    ask(shop, kind, "public.visit")
    shop.run("insert into account values (1000, 0)")
    shop.drain()
    with shop.connect() as writer, writer.transaction():
        writer.execute("update account set n = 5 where id = 1000; delete from account where id = 7")
        writer.execute("update account set id = 2000 where id = 9; insert into account values (3000, 3)")
        ask(shop, kind)
        shop.drain()
        assert states(shop) == ["finished", "running"]
        assert shop.target_rows("public.account", "t0").keys() == {("1000",)}
    assert shop.differences() == []


@pytest.mark.parametrize(
    ("detached", "attach", "state"),
    [
        # Of the table itself there is only a lock like ANALYZE's, and what is attached is no part yet.
        ("visit detach partition visit_low", "for values from (minvalue) to (60)", "running"),
        # The default partition is locked for good beside it.
        ("visit_high detach partition visit_high_a", "for values in ('ä', 'b')", "waiting"),
    ],
    ids=["alone", "beside a default partition"],
)
@pytest.mark.parametrize("kind", [*KINDS, "repair"])
def test_a_partition_that_is_being_attached_is_waited_for(
    shop: Replicated, kind: str, detached: str, attach: str, state: str
) -> None:
    """Its rows have drawn their numbers already."""
    ask(shop, "backfill")
    ask(shop, "backfill", "public.visit")
    shop.drain()
    shop.run(f"alter table {detached}")
    shop.drain()
    keys = '[{"place": "ä", "id": "8"}, {"place": "ä", "id": "64"}]' if kind == "repair" else None
    with shop.connect() as owner, owner.transaction():
        owner.execute(f"alter table {detached.replace('detach', 'attach')} {attach}".encode())
        ask(shop, kind, "public.visit", keys)
        shop.drain()
        assert states(shop)[-1] == state
    assert shop.differences() == []


def test_the_locks_of_writers_are_read_once(shop: Replicated) -> None:
    """One that is prepared between two readings has another name in each, and would be missed."""
    assert shop.run("select prosrc from pg_proc where proname = 'writers_of'")[0][0].count("pg_locks") == 1


def test_a_transaction_that_stays_idle_stalls_its_table_alone_and_never_the_drain(shop: Replicated) -> None:
    shop.drain()
    with shop.connect() as idle, idle.transaction():
        idle.execute("update account set n = 1 where id = 1")
        ask(shop, "baseline")
        ask(shop, "baseline", "public.visit")
        shop.run("insert into visit values ('b', 5000, 1)")
        started = time.monotonic()
        shop.drain()
        assert time.monotonic() - started < 15
        assert states(shop) == ["running", "finished"]
        assert shop.target_rows("public.visit", "t1") == shop.table_rows("public.visit")
        shop.run("update account set n = 2 where id = 2")
        shop.drain()
        assert shop.target_rows("public.account", "t0").keys() == {("2",)}
    assert shop.differences() == []
    assert states(shop) == ["finished", "finished"]


def test_a_prepared_transaction_is_waited_for_as_any_other(shop: Replicated) -> None:
    shop.drain()
    shop.run(
        "begin; delete from account where id = 3; update account set n = 3 where id = 4; prepare transaction 'late'"
    )
    ask(shop, "baseline")
    ask(shop, "baseline", "public.visit")
    shop.drain()
    assert states(shop) == ["running", "finished"]
    shop.run("commit prepared 'late'")
    assert shop.differences() == []


def test_a_table_that_somebody_keeps_locked_stalls_its_request_alone(shop: Replicated) -> None:
    shop.drain()
    ask(shop, "baseline")
    ask(shop, "baseline", "public.visit")
    with shop.connect() as locker, locker.transaction():
        shop.outbox.advance_snapshots(50)
        locker.execute("lock table account")
        shop.drain()
        assert states(shop) == ["running", "finished"]
    assert shop.differences() == []


def test_what_the_server_fails_for_the_moment_stalls_no_change_and_is_tried_again(
    shop: Replicated, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.drain()
    ask(shop, "baseline")
    ask(shop, "baseline", "public.visit")
    shop.run("create function pgevents.fail() returns trigger language plpgsql as $$ begin"
             " raise 'too slow' using errcode = 'query_canceled'; end $$;"
             " create trigger fail before update on pgevents.snapshot_request execute function pgevents.fail()")  # fmt: skip
    shop.run("insert into account values (5000, 1)")
    shop.drain()
    assert shop.target_rows("public.account", "t0").keys() == {("5000",)}
    assert "snapshot could not be moved forward" in capsys.readouterr().out
    shop.run("drop trigger fail on pgevents.snapshot_request")
    assert shop.differences() == []


@pytest.mark.parametrize("afterwards", [False, True], ids=["before", "after"])
def test_a_drain_cut_off_at_any_step_of_a_baseline_leaves_it_to_the_next(
    shop: Replicated, afterwards: bool
) -> None:
    ask(shop, "backfill")
    ask(shop, "backfill", "public.visit")
    shop.drain()
    plant_strays(shop)
    ask(shop, "baseline")
    random, cut = Random(1), 0
    for at_call in range(1, 120):
        write_one(shop.app, random)
        connection = shop.lambda_connection()
        try:
            shop.new_drain(Failing(Outbox("shop", connection), at_call % 40 + 1, afterwards)).run()  # type: ignore[arg-type]
        except Interruption:
            cut += 1
        connection.close()
        if set(states(shop)) == {"finished"}:
            ask(shop, "baseline")
    assert cut > 60
    assert shop.run("select count(*) > 3 from pgevents.snapshot_request where state = 'finished'") == [
        (True,)
    ]
    assert shop.differences() == []


def test_ddl_between_chunks_changes_what_is_sent_and_breaks_nothing(shop: Replicated) -> None:
    shop.drain()
    ask(shop, "baseline", "public.visit")
    ask(shop, "baseline")
    changes = (
        "alter table visit rename column n to visits",
        "alter table visit_high detach partition visit_high_a",
        "create table visit_more (place text, id int, visits int); insert into visit_more values ('b', 70, 1)",
        "alter table visit_high attach partition visit_high_a for values in ('ä', 'b')",
        "alter table account add column name text default 'x'",
        "alter table account alter column n type smallint",
        "vacuum full account",
        "update account set n = 8 where id > 300",
        "alter table account drop column name",
        "cluster account using account_pkey",
        "alter table account rename to customer",
    )
    for change in changes:
        shop.outbox.advance_snapshots(30)
        shop.run(change)
        shop.outbox.advance_snapshots(30)
    shop.run("alter table customer rename to account")
    assert states(shop)[1] == "running"
    assert shop.differences() == []
    assert states(shop) == ["finished", "finished"]


def test_a_request_for_a_table_whose_capture_has_ended_fails_and_says_why(shop: Replicated) -> None:
    ask(shop, "backfill")
    ask(shop, "baseline", "public.visit")
    shop.install("public.visit", doorbell="notify")
    shop.drain()
    assert states(shop) == ["failed", "finished"]
    [(error,)] = shop.run("select error from pgevents.snapshot_request where state = 'failed'")
    assert (
        error
        == "capture of public.account has ended (no longer in pipeline.toml); capture it again and ask again"
    )
    with pytest.raises(psycopg.errors.UndefinedTable, match="table public.account is not captured"):
        ask(shop, "backfill")


def test_what_a_table_does_not_let_be_read_fails_its_request_and_not_the_drain(shop: Replicated) -> None:
    shop.run(
        "create function fails(n int) returns int immutable language plpgsql as $$ begin raise 'not for you'; end $$;"
        " create table odd (id int primary key, n int); insert into odd values (1, 1)"
    )
    shop.install("public.account", "public.visit", "public.odd")
    shop.run("insert into odd values (2, 2)")
    ask(shop, "backfill", "public.odd")
    ask(shop, "backfill")
    # What is read only then: a column that raises for a row that is there.
    shop.run("alter table odd add column m int generated always as (10 / (n - 1)) virtual")
    shop.drain()
    assert states(shop) == ["failed", "finished"]
    assert shop.run("select error from pgevents.snapshot_request where state = 'failed'") == [
        ("division by zero",)
    ]


@pytest.mark.parametrize(
    ("kind", "keys", "said"),
    [
        ("refill", None, "there is no snapshot of kind refill"),
        ("backfill", "[]", "a backfill takes no keys"),
        ("repair", None, "an array of objects with id"),
        ("repair", '{"id": 1}', "an array of objects with id"),
        ("repair", '[{"id": null}]', "an array of objects with id"),
        ("repair", '[{"n": "1"}]', "an array of objects with id"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(
    shop: Replicated, kind: str, keys: str | None, said: str
) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=said):
        ask(shop, kind, keys=keys)


def test_a_request_that_has_not_begun_is_not_made_twice(shop: Replicated) -> None:
    assert ask(shop, "backfill") == ask(shop, "backfill")
    assert ask(shop, "baseline") != ask(shop, "backfill")
    shop.drain()
    assert ask(shop, "backfill") > 2


def test_a_request_rings_and_its_chunks_do_not(shop: Replicated) -> None:
    with shop.connect() as listener:
        listener.execute("listen pgevents_doorbell")
        ask(shop, "backfill")
        assert [note.payload for note in listener.notifies(timeout=2, stop_after=1)] == ["shop"]
        shop.drain()
        assert list(listener.notifies(timeout=0.3)) == []


def test_keys_of_every_kind_are_backfilled_and_repaired(shop: Replicated) -> None:
    shop.run(
        "create type mood as enum ('sad', 'glad'); create domain code as text;"
        " create table odd (a mood, b code, c numeric, d timestamptz, e char(4), f text[], n int);"
        " insert into odd values ('glad', 'x''\\\"y', 1.50, '2026-01-02 03:04+02', 'ab', '{a,\"b c\"}', 1),"
        " ('sad', '', 2, 'infinity', 'cd', '{}', 2)"
    )
    shop.install("public.account", "public.visit", Table("public.odd", key=("a", "b", "c", "d", "e", "f")))
    ask(shop, "backfill", "public.odd")
    shop.drain()
    assert len(shop.target_rows("public.odd", "t2")) == 2
    shop.looking.execute(
        "update replica.t2 set n = 99, _version = 1;"
        " insert into replica.t2 select 'sad', 'stray', c, d, e, f, n, 1 from replica.t2 limit 1"
    )
    [(keys,)] = shop.looking.execute(
        "select json_agg(json_build_object('a', a, 'b', b, 'c', c::text, 'd', d::text, 'e', e, 'f', f::text))::text"
        " from replica.t2"
    ).fetchall()
    ask(shop, "repair", "public.odd", keys)
    shop.drain()
    assert shop.run("select error from pgevents.snapshot_request order by request_id") == [(None,), (None,)]
    assert shop.target_rows("public.odd", "t2") == shop.table_rows("public.odd")


@pytest.mark.parametrize("rows", [40_000, pytest.param(300_000, marks=slow)])
def test_many_rows_are_backfilled_in_bounded_memory(
    shop: Replicated, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(transform_drain, "CHUNK_ROWS", transform_snapshots.CHUNK_ROWS)
    shop.run("create table large (id int primary key, n int)")
    shop.run(
        "insert into large select g, g from generate_series(1, %s) as g; analyze large".replace(
            "%s", str(rows)
        )
    )
    shop.install("public.large")
    ask(shop, "backfill", "public.large")
    tracemalloc.start()
    drained = shop.drain(900)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert drained.events == rows
    assert peak < 10_000_000
    assert shop.run("select expected_rows, row_count from pgevents.snapshot_request") == [(rows, rows)]
