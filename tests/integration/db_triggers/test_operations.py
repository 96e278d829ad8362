"""Every way in which SQL changes rows becomes events that say what happened, in an order that leads to the table."""

import pytest

from pgevents.config import Table
from tests.integration.db_triggers.captured import Captured

ACCOUNT = "create table account (id bigint primary key, name text, balance numeric not null default 0)"

JIT_ABOVE_COST = 100_000
"""As PostgreSQL ships it."""


@pytest.fixture
def account(captured: Captured) -> Captured:
    captured.run(ACCOUNT)
    captured.install("public.account")
    return captured


def test_insert_update_and_delete_carry_the_whole_row_before_and_after(account: Captured) -> None:
    account.run("insert into account values (1, 'ann', 10)")
    account.run("update account set balance = 11 where id = 1")
    account.run("delete from account")
    nothing = {"id": None, "name": None, "balance": None}
    first, second = ({"id": "1", "name": "ann", "balance": balance} for balance in ("10", "11"))
    images = [(event.op, event.before, event.after) for event in account.events()]
    assert images == [("I", nothing, first), ("U", first, second), ("D", second, nothing)]
    assert account.differences() == []


def test_one_statement_on_many_rows_is_one_event_a_row(account: Captured) -> None:
    account.run("insert into account select g, 'n' || g from generate_series(1, 500) as g")
    account.run("update account set balance = id * 2")
    account.run("delete from account where id > 250")
    assert account.operations() == ["I"] * 500 + ["U"] * 500 + ["D"] * 250
    assert account.differences() == []


def test_copy_is_captured(account: Captured) -> None:
    with account.app.cursor().copy("copy account (id, name) from stdin") as copy:
        for number in range(300):
            copy.write_row((number, f"copied {number}"))
    assert account.operations() == ["I"] * 300
    assert account.differences() == []


def test_an_upsert_inserts_new_rows_and_updates_present_ones(account: Captured) -> None:
    account.run("insert into account values (1, 'ann')")
    account.events()
    account.run(
        "insert into account values (1, 'anna'), (2, 'bob')"
        " on conflict (id) do update set name = excluded.name where account.name <> excluded.name"
    )
    assert sorted((event.op, event.after["name"]) for event in account.events()) == [
        ("I", "bob"),
        ("U", "anna"),
    ]
    assert account.differences() == []


def test_an_upsert_that_does_nothing_is_no_event(account: Captured) -> None:
    account.run("insert into account values (1, 'ann')")
    account.events()
    account.run("insert into account values (1, 'anna') on conflict do nothing")
    assert account.events() == []


def test_merge_deletes_updates_and_inserts_in_one_statement(account: Captured) -> None:
    account.run("insert into account values (1, 'a'), (2, 'b'), (3, 'c')")
    account.run(
        "merge into account as a using (values (1, 'x'), (2, null), (4, 'd')) as s (id, name) on a.id = s.id"
        " when matched and s.name is null then delete when matched then update set name = s.name"
        " when not matched then insert (id, name) values (s.id, s.name)"
    )
    assert sorted(account.operations()) == ["D", "I", "I", "I", "I", "U"]
    assert account.differences() == []


def test_merge_that_gives_a_freed_key_to_another_row_ends_as_the_table_does(account: Captured) -> None:
    account.run("insert into account values (1, 'a'), (2, 'b'), (3, 'c')")
    account.run(
        "merge into account as a using (values (1, 'a', 9), (2, 'b', null), (0, 'z', 2)) as s (id, name, moved)"
        " on a.id = s.id and a.name = s.name"
        " when matched and s.moved is null then delete when matched then update set id = s.moved"
        " when not matched then insert (id, name) values (s.moved, s.name)"
    )
    assert account.differences() == []


def test_an_update_that_changes_nothing_is_an_event_all_the_same(account: Captured) -> None:
    account.run("insert into account values (1, 'ann')")
    account.run("update account set name = name")
    assert account.operations() == ["I", "U"]


def test_a_statement_that_touches_no_row_is_no_event(account: Captured) -> None:
    account.run("update account set name = 'x' where id = 99")
    account.run("delete from account where id = 99")
    account.run("insert into account select 1, 'x' where false")
    assert account.events() == []


def test_truncate_is_one_event_and_later_rows_survive_it(account: Captured) -> None:
    account.run("insert into account select g from generate_series(1, 20) as g")
    account.run("truncate account")
    account.run("insert into account values (3, 'after')")
    assert account.operations() == ["I"] * 20 + ["T", "I"]
    assert account.differences() == []


def test_truncate_cascade_takes_the_rows_of_every_captured_table_it_reaches(captured: Captured) -> None:
    captured.run(ACCOUNT)
    captured.run("create table entry (id bigint primary key, account_id bigint references account)")
    captured.install("public.account", "public.entry")
    captured.run("insert into account values (1), (2); insert into entry values (10, 1), (20, 2)")
    captured.run("truncate account cascade")
    assert sorted(event.table for event in captured.events() if event.op == "T") == [
        "public.account",
        "public.entry",
    ]
    assert captured.differences() == []


def test_a_change_of_key_moves_the_row(account: Captured) -> None:
    account.run("insert into account values (1, 'a'), (2, 'b')")
    account.run("update account set id = id + 10")
    assert account.differences() == []


def test_a_key_of_several_columns_is_one_key(captured: Captured) -> None:
    captured.run("create table slot (place text, hour int, who text, primary key (hour, place))")
    captured.install("public.slot")
    captured.run("insert into slot values ('a', 1, 'x'), ('a', 2, 'y'), ('b', 1, 'z')")
    captured.run(
        "update slot set hour = 3 where place = 'b'; delete from slot where place = 'a' and hour = 2"
    )
    assert captured.differences() == []


def test_a_table_without_primary_key_is_captured_by_the_key_named_for_it(captured: Captured) -> None:
    captured.run(
        "create table reading (code text not null, value int); insert into reading values ('old', 0)"
    )
    captured.install(Table("public.reading", key=("code",)))
    captured.run(
        "insert into reading values ('a', 1), ('b', 2); update reading set value = 3 where code = 'a'"
    )
    captured.run("delete from reading where code in ('b', 'old')")
    assert captured.differences() == []


def test_an_excluded_column_leaves_no_trace_in_the_outbox(captured: Captured) -> None:
    captured.run("create table person (id int primary key, name text, secret text)")
    captured.install(Table("public.person", exclude=("secret",)))
    captured.run("insert into person values (1, 'ann', 'hunter2'); update person set secret = 'hunter3'")
    assert [set(event.after) for event in captured.events()] == [{"id", "name"}] * 2
    assert captured.differences() == []


def test_names_that_need_quoting_everywhere_are_captured(captured: Captured) -> None:
    captured.run('create schema "My Schema"')
    captured.run(
        'create table "My Schema"."Order %s ""x"" \'y\'" ('
        '"select" int primary key, "a b%" text, "it\'s" text, "new_rows" text, "$1" text, "Größe" int,'
        ' seq int, op text, found boolean, "position" int, n int, o int, t int, b1 text, xid int)'
    )
    captured.install("My Schema.Order %s \"x\" 'y'")
    table = '"My Schema"."Order %%s ""x"" \'y\'"'
    row = "(1, 'a', 'b', 'c', 'd', 5, 6, 'op', true, 9, 10, 11, 12, 'b1', 14)"
    captured.run(f"insert into {table} values {row}".replace("%%", "%"))
    captured.run(f"update {table} set n = 0, \"a b%\" = 'z'".replace("%%", "%"))
    assert captured.differences() == []
    captured.run(f"delete from {table}".replace("%%", "%"))
    assert captured.differences() == []


def test_no_capture_of_an_update_looks_so_dear_that_a_server_would_compile_it(account: Captured) -> None:
    """To compile takes longer than to capture 10,000 rows; the embedded server has no compiler."""
    account.run("insert into account (id) select generate_series(1, 10000)")
    [(capture,)] = account.run(
        "select pgevents.capture_update_sql(t, l, 0)"
        " from pgevents.captured_table as t inner join pgevents.layout as l using (table_id)"
    )
    single, several = str(capture).removesuffix("; end if").split("; if not found then ")
    with account.connect() as connection:
        for name in ("old_rows", "new_rows"):
            connection.execute(f"create temp table {name} as select * from account".encode())
            connection.execute(f"analyze {name}".encode())
        for statement in (single, several):
            [([plan],)] = connection.execute(f"explain (format json) {statement}".encode()).fetchall()
            assert plan["Plan"]["Total Cost"] < JIT_ABOVE_COST
