"""Owners change captured tables as they like: capture follows in the same transaction and never stands in the way."""

import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import psycopg
import pytest

from db_triggers.installer import install
from pgevents.config import Table
from tests.integration.db_triggers.captured import NAME, WAKE, Captured


@pytest.fixture
def account(captured: Captured) -> Captured:
    captured.run("create type mood as enum ('sad', 'ok')")
    captured.run(
        "create table account (id int primary key, name text, n int default 0, felt mood, secret text)"
    )
    captured.install(Table("public.account", exclude=("secret",)))
    captured.run("insert into account values (1, 'ann', 10, 'ok', 's1'), (2, 'bob', 20, 'sad', 's2')")
    return captured


def ended(captured: Captured) -> list[tuple[str, str | None]]:
    return captured.run("select name, ended from pgevents.captured_table order by table_id")


CHANGES = {
    "added": "alter table account add column extra numeric(8, 2) default 1.5",
    "dropped": "alter table account drop column n",
    "renamed": "alter table account rename column name to label",
    "retyped": "alter table account alter column n type numeric using n / 4.0",
    "retyped from an enum": "alter table account alter column felt type text",
    "renamed key": "alter table account rename column id to account_id",
    "retyped key": "alter table account alter column id type bigint",
    "generated": "alter table account add column twice int generated always as (n * 2) stored",
    "moved": "create schema other; alter table account set schema other; alter table other.account set schema public",
}
TOUCH_ALL = "update account set felt = felt"


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_events_from_before_and_after_a_change_of_columns_arrive(account: Captured, change: str) -> None:
    account.run(change)
    account.run(TOUCH_ALL)
    assert account.operations() == ["I", "I", "U", "U"]
    assert account.differences() == []


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_columns_change_in_a_transaction_that_writes_before_and_after(account: Captured, change: str) -> None:
    with account.app.transaction():
        account.run("insert into account values (3, 'cid', 30, 'ok')")
        account.run(change)
        account.run(TOUCH_ALL)
    account.run("delete from account where felt = 'sad'")
    assert account.operations() == ["I"] * 3 + ["U"] * 3 + ["D"]
    assert account.differences() == []


def test_a_change_of_columns_that_is_rolled_back_never_happened(account: Captured) -> None:
    with account.app.transaction(force_rollback=True):
        account.run(
            "alter table account drop column n, add column extra text; insert into account values (3, 'cid')"
        )
    account.run(TOUCH_ALL)
    assert account.differences() == []


def test_an_excluded_column_stays_excluded_under_another_name(account: Captured) -> None:
    account.run("alter table account rename column secret to password; update account set password = 'new'")
    assert all("password" not in event.after for event in account.events())
    account.run("alter table account drop column password; update account set n = 5")
    assert account.differences() == []


def test_a_type_dropped_with_its_columns_stops_no_writer(account: Captured) -> None:
    account.run("drop type mood cascade; update account set n = 1")
    assert account.differences() == []


def test_an_extension_dropped_with_its_columns_stops_no_writer(account: Captured) -> None:
    if not account.run("select from pg_available_extensions where name = 'vector'"):
        pytest.skip("needs an extension with a type")
    account.run("create extension vector; alter table account add column place vector(2)")
    account.run("update account set place = '[1,2.5]' where id = 1")
    assert account.events()[-1].after["place"] == "[1,2.5]"
    account.run("drop extension vector cascade; update account set n = 1")
    assert account.differences() == []


def test_the_key_dropped_ends_the_capture_with_a_warning(account: Captured) -> None:
    warnings: list[str] = []
    account.app.add_notice_handler(
        lambda notice: warnings.append(f"{notice.severity} {notice.message_primary}")
    )
    account.run("alter table account drop column id; update account set n = 99")
    reason = 'key column "id" of public.account does not exist'
    assert warnings == [f"WARNING pgevents: capture of public.account has ended: {reason}"]
    assert ended(account) == [("public.account", reason)]
    assert account.operations() == ["I", "I"]


def test_the_primary_key_constraint_dropped_leaves_the_key_as_it_was(account: Captured) -> None:
    account.run("alter table account drop constraint account_pkey; update account set n = 5")
    assert account.differences() == []


def test_a_dropped_table_is_captured_again_once_it_is_made_and_installed_anew(account: Captured) -> None:
    account.run("drop table account")
    assert ended(account) == [("public.account", "the table was dropped")]
    assert account.operations() == ["I", "I"]
    account.run("create table account (id int primary key, other text)")
    assert account.install("public.account").captured == ["public.account"]
    account.run("insert into account values (7, 'new')")
    assert [event.after for event in account.events()] == [{"id": "7", "other": "new"}]


def test_a_table_dropped_with_its_schema_or_its_owner_is_noticed(captured: Captured) -> None:
    captured.run("create schema a; create table a.one (id int primary key); create role owner_of_two")
    captured.run("create table two (id int primary key); alter table two owner to owner_of_two")
    captured.install("a.one", "public.two")
    captured.run("drop schema a cascade; drop owned by owner_of_two; drop role owner_of_two")
    assert ended(captured) == [("a.one", "the table was dropped"), ("public.two", "the table was dropped")]


def test_a_renamed_table_or_schema_goes_on_reporting_under_its_name(account: Captured) -> None:
    account.run(
        "create function again() returns trigger language plpgsql as $$ begin"
        " if pg_trigger_depth() < 2 then execute format('update %s set n = n + 1', tg_relid::regclass); end if;"
        " return null; end $$; create trigger again after update on account for each row execute function again()"
    )
    account.run(
        "create schema old; alter table account set schema old; alter table old.account rename to customer"
    )
    account.run("alter schema old rename to new; update new.customer set n = 0")
    assert {event.table for event in account.events()} == {"public.account"}
    account.drain()
    assert [row["n"] for row in account.model.rows["t0"].values()] == ["2", "2"]


def test_two_tables_that_swap_their_names_are_sorted_out_by_the_next_installation(captured: Captured) -> None:
    captured.run("create table one (id int primary key); create table two (id int primary key)")
    captured.install("public.one", "public.two")
    captured.run(
        "alter table one rename to tmp; alter table two rename to one; alter table tmp rename to two"
    )
    captured.install("public.one", "public.two")
    captured.run("insert into one values (1); insert into two values (2)")
    assert [(event.table, event.after["id"]) for event in captured.events()] == [
        ("public.one", "1"),
        ("public.two", "2"),
    ]


def test_an_owner_without_other_rights_alters_a_captured_table(account: Captured) -> None:
    account.run(
        "create role plain_owner; alter table account owner to plain_owner; grant all on schema public to plain_owner"
    )
    account.run("set role plain_owner; alter table account add column extra text default 'x'")
    account.run("update account set extra = 'y'; create table mine (id int); drop table mine; reset role")
    assert account.differences() == []
    account.run("drop owned by plain_owner; drop role plain_owner")


def test_what_a_dump_says_about_a_table_leaves_its_capture_alone(account: Captured) -> None:
    account.run(
        "create index on account (name); create unique index account_name on account (name);"
        " comment on table account is 'accounts'; comment on column account.name is 'name';"
        " alter table only account alter column n set default 5, alter column n set not null,"
        " alter column name set statistics 50, alter column name set storage external;"
        " alter table account replica identity full; alter table account cluster on account_pkey;"
        " alter table account enable row level security; create policy p on account using (true);"
        " alter table only account add constraint positive check (n >= 0) not valid;"
        " alter table account validate constraint positive; grant select on account to public;"
        " alter table account set (fillfactor = 50); cluster account; reindex table account"
    )
    account.run(TOUCH_ALL)
    assert ended(account) == [("public.account", None)]
    assert account.run("select count(*) from pgevents.layout") == [(1,)]
    assert account.differences() == []


def test_triggers_disabled_for_a_bulk_load_do_not_disable_capture(account: Captured) -> None:
    account.run("alter table account disable trigger user; insert into account values (3, 'bulk')")
    account.run("alter table account enable trigger user; alter table account disable trigger all")
    account.run("update account set n = 7; alter table account enable trigger all")
    assert account.operations() == ["I"] * 3 + ["U"] * 3
    account.run("set session_replication_role = replica; delete from account; reset session_replication_role")
    assert account.differences() == []


def test_a_partition_detached_concurrently_takes_its_rows_away(captured: Captured) -> None:
    captured.run("create table visit (id int primary key) partition by range (id)")
    captured.run("create table visit_low partition of visit for values from (0) to (10)")
    captured.install("public.visit")
    captured.run("insert into visit values (1), (2)")
    captured.run("alter table visit detach partition visit_low concurrently")
    captured.run("insert into visit_low values (3)")
    assert captured.differences() == []


def test_a_foreign_partition_ends_the_capture_and_not_the_writes(captured: Captured) -> None:
    if not captured.run("select from pg_available_extensions where name = 'postgres_fdw'"):
        pytest.skip("needs a foreign-data wrapper")
    captured.run("create extension postgres_fdw; create server far foreign data wrapper postgres_fdw")
    captured.run("create table visit (id int) partition by range (id)")
    captured.run("create table visit_low partition of visit for values from (0) to (10)")
    captured.install(Table("public.visit", key=("id",)))
    captured.run("create foreign table visit_far partition of visit for values from (10) to (20) server far")
    assert "transition tables" in str(ended(captured)[0][1])
    captured.run("insert into visit values (1)")


def test_ddl_on_other_tables_takes_no_noticeable_time_more(account: Captured) -> None:
    other = account.connect()

    def milliseconds() -> float:
        started = time.perf_counter()
        other.execute("create temp table passing (id int, name text); drop table passing")
        return (time.perf_counter() - started) * 1000

    times = [milliseconds() for _ in range(40)]
    account.run(
        "alter event trigger pgevents_follow_ddl disable; alter event trigger pgevents_follow_drop disable"
    )
    without = [milliseconds() for _ in range(40)]
    assert median(times) < median(without) + 5


def test_an_installation_waits_for_a_change_of_columns_that_is_under_way(account: Captured) -> None:
    owner, deployment = account.connect(), account.connect()
    with ThreadPoolExecutor() as threads, owner.transaction():
        owner.execute("alter table account add column extra text")
        installing = threads.submit(install, deployment, NAME, account.pipeline.sources[NAME], WAKE)
        with pytest.raises(TimeoutError):
            installing.result(0.3)
    assert installing.result().ended == []
    account.run(TOUCH_ALL)
    assert ended(account) == [("public.account", None)]
    assert account.differences() == []


def test_a_change_of_columns_that_capture_cannot_follow_fails_and_no_write_does(account: Captured) -> None:
    """The other way round, capture would no longer fit the table, and writes would fail."""
    follow = account.run(
        "select pg_get_functiondef('pgevents.follow(pgevents.captured_table)'::regprocedure)"
    )
    account.run(
        "create or replace function pgevents.follow(captured pgevents.captured_table) returns void"
        " language plpgsql as $$ begin raise exception 'broken'; end $$"
    )
    with pytest.raises(psycopg.errors.RaiseException):
        account.run("alter table account add column extra text default 'x'")
    account.run("insert into account (id) values (990); update account set id = 991 where id = 990")
    assert account.differences() == []
    account.run(follow[0][0])
    account.run("alter table account add column extra text default 'x'")
    account.run(TOUCH_ALL)
    assert account.differences() == []
