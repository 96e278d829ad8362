"""Triggers, cascades and data-modifying WITH make statements run inside others; the events still end at the table."""

import pytest

from tests.integration.db_triggers.captured import Captured

NODE = "create table node (id int primary key, v int not null default 0, parent int)"


@pytest.fixture
def node(captured: Captured) -> Captured:
    captured.run(NODE)
    captured.install("public.node")
    captured.run("insert into node values (1, 10), (2, 20), (3, 30), (4, 40)")
    return captured


def trigger(captured: Captured, when: str, body: str, table: str = "node") -> None:
    captured.run(
        f"create function t_{abs(hash((when, body)))}() returns trigger language plpgsql as $$ begin {body} end $$;"
        f" create trigger app_{abs(hash((when, body)))} {when} on {table} for each row"
        f" execute function t_{abs(hash((when, body)))}()"
    )


def test_a_row_trigger_that_updates_the_other_rows_again(node: Captured) -> None:
    trigger(
        node, "after update",
        "if pg_trigger_depth() < 2 then update node set v = v + 100 where id <> new.id; end if; return null;",
    )  # fmt: skip
    node.run("update node set v = v + 1")
    assert node.differences() == []


def test_a_row_trigger_that_updates_its_own_row_again(node: Captured) -> None:
    trigger(
        node,
        "after update",
        "if new.v < 50 then update node set v = v + 7 where id = new.id; end if; return null;",
    )
    node.run("update node set v = v + 1")
    assert node.differences() == []


def test_a_before_insert_trigger_that_deletes_the_row_it_replaces(node: Captured) -> None:
    trigger(node, "before insert", "delete from node where id = new.id; return new;")
    node.run("insert into node values (1, 11), (2, 22), (9, 99)")
    assert node.differences() == []


def test_an_after_insert_trigger_that_deletes_the_new_row(node: Captured) -> None:
    trigger(
        node, "after insert", "if new.v < 0 then delete from node where id = new.id; end if; return null;"
    )
    node.run("insert into node values (5, -1), (6, 1), (7, -1)")
    assert node.differences() == []


def test_an_after_delete_trigger_that_puts_the_row_back(node: Captured) -> None:
    trigger(node, "after delete", "if old.id = 2 then insert into node values (2, -2); end if; return null;")
    node.run("delete from node where id < 4")
    assert node.differences() == []


def test_three_levels_of_triggers_on_one_table(node: Captured) -> None:
    trigger(
        node, "after update",
        "if pg_trigger_depth() < 4 then"
        " update node set v = v * 2 where id = new.id % 4 + 1; end if; return null;",
    )  # fmt: skip
    trigger(node, "after insert", "update node set v = v + 1 where id = 1; return null;")
    node.run("update node set v = v + 1 where id in (1, 3)")
    node.run("insert into node values (5, 50), (6, 60)")
    assert node.differences() == []


def test_two_tables_whose_triggers_change_each_other(node: Captured) -> None:
    node.run("create table tally (id int primary key, n int)")
    node.install("public.node", "public.tally")
    node.run("insert into tally values (1, 0)")
    trigger(node, "after update", "update tally set n = n + 1; return null;")
    trigger(
        node, "after update",
        "if new.n < 6 then update node set v = v + 1000, parent = new.n where id <= new.n; end if; return null;",
        "tally",
    )  # fmt: skip
    node.run("update node set v = 0 where id = 4")
    node.model.rows["t0"] = {
        (key,): row for (key,), row in node.table_rows("public.node").items() if key is None
    }
    node.run("update node set v = v + 1")
    assert node.differences() == []


def test_a_function_that_changes_the_table_which_the_statement_is_changing(node: Captured) -> None:
    node.run(
        "create function meddle(of_id int) returns int language plpgsql as $$ begin"
        " update node set v = v + 1000 where id < of_id; return of_id; end $$"
    )
    node.run("update node set v = v + 1, parent = meddle(id) where id in (1, 2, 3)")
    assert node.differences() == []


def test_a_returning_clause_that_changes_the_rows_just_inserted(node: Captured) -> None:
    node.run(
        "create function undo(of_id int) returns int language plpgsql as $$ begin"
        " delete from node where id = of_id - 1; update node set v = 5 where id = of_id - 2; return of_id; end $$"
    )
    node.run("insert into node values (11), (12), (13), (14) returning undo(id)")
    assert node.differences() == []


def test_with_deletes_a_row_and_inserts_its_key_again(node: Captured) -> None:
    node.run(
        "with gone as (delete from node where id < 3 returning *) insert into node select id, v + 1 from gone"
    )
    assert node.differences() == []


def test_with_whose_delete_ends_after_the_insert_that_took_its_key(node: Captured) -> None:
    node.run(
        "with gone as (delete from node returning *) insert into node select id, v + 1 from gone limit 1"
    )
    assert node.differences() == []


def test_with_whose_update_frees_a_key_after_it_was_inserted_again(node: Captured) -> None:
    node.run(
        "with moved as (update node set id = id + 100 returning id - 100 as id)"
        " insert into node select id, 7 from moved limit 1"
    )
    assert node.differences() == []


def test_with_that_updates_one_table_twice_and_deletes_from_it(node: Captured) -> None:
    node.run(
        "with a as (update node set v = 1 where id = 1 returning id), b as (delete from node where id = 2 returning id)"
        " update node set v = 3, id = 2 where id = 3 and exists (select from b)"
    )
    assert node.differences() == []


def test_a_deleted_parent_takes_its_tree_with_it(captured: Captured) -> None:
    captured.run(
        "create table tree (id int primary key, parent int references tree on delete cascade on update cascade)"
    )
    captured.install("public.tree")
    captured.run("insert into tree select g, nullif(g / 2, 0) from generate_series(1, 31) as g")
    captured.run("update tree set id = id + 100 where id in (1, 5)")
    captured.run("delete from tree where id = 2")
    assert captured.operations().count("D") == 15
    assert captured.differences() == []


def test_a_changed_parent_key_cascades_to_the_children(captured: Captured) -> None:
    captured.run("create table account (id int primary key)")
    captured.run(
        "create table entry (id int, account_id int references account on update cascade on delete set null,"
        " primary key (id))"
    )
    captured.install("public.account", "public.entry")
    captured.run(
        "insert into account values (1), (2); insert into entry select g, g % 2 + 1 from generate_series(1, 9) as g"
    )
    captured.run("update account set id = id * 10; delete from account where id = 10")
    assert captured.differences() == []


@pytest.mark.parametrize("first", ["set null", "cascade", "set default"])
@pytest.mark.parametrize("second", ["set null", "cascade", "set default"])
def test_two_cascades_that_touch_one_row_in_one_statement(
    captured: Captured, first: str, second: str
) -> None:
    captured.run("create table root (id int primary key)")
    captured.run("create table a (id int primary key, root int references root on delete cascade)")
    captured.run("create table b (id int primary key, root int references root on delete cascade)")
    captured.run(
        "create table leaf (id int primary key,"
        f" a int default 0 references a on delete {first}, b int default 0 references b on delete {second})"
    )
    captured.install("public.leaf", "public.a", "public.b")
    captured.run("insert into root values (0), (1), (2)")
    captured.run("insert into a values (0, 0), (1, 1), (2, 1), (3, 1), (4, 2); insert into b select * from a")
    captured.run(
        "insert into leaf values (1, 1, 1), (2, 2, 1), (3, 1, 2), (4, 4, 3), (5, 3, 4), (6, 4, 4), (7, 2, 3)"
    )
    captured.run("delete from root where id in (1, 2)")
    assert captured.differences() == []


def test_a_deferred_trigger_of_the_application_that_writes_at_commit(node: Captured) -> None:
    node.run(
        "create function late() returns trigger language plpgsql as $$ begin"
        " update node set v = -1 where id = 1; return null; end $$;"
        " create constraint trigger late after insert on node deferrable initially deferred for each row"
        " execute function late()"
    )
    with node.app.transaction():
        node.run("insert into node values (8)")
        node.run("update node set v = 77 where id = 1")
    assert node.differences() == []


def test_many_statements_in_one_function_are_settled_only_where_it_is_needed(node: Captured) -> None:
    node.run(
        "do $$ begin for i in 1..50 loop update node set v = v + 1 where id = i % 4 + 1; end loop;"
        " delete from node where id = 4; insert into node values (4, 4); end $$"
    )
    assert node.operations() == ["I"] * 4 + ["U"] * 50 + ["D", "I"]
    assert node.differences() == []
