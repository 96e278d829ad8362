"""A partitioned table is one table: its partitions report under its name, whatever becomes of them."""

import pytest

from tests.integration.db_triggers.captured import Captured

EVENT = """
create table visit (id int, place text, n int default 0, primary key (id, place)) partition by list (place);
create table visit_a partition of visit for values in ('a');
create table visit_b (n int, place text not null, id int not null, primary key (id, place));
alter table visit attach partition visit_b for values in ('b');
create table visit_rest partition of visit default partition by range (id);
create table visit_low partition of visit_rest for values from (0) to (100);
create table visit_high partition of visit_rest for values from (100) to (1000);
"""


@pytest.fixture
def visit(captured: Captured) -> Captured:
    captured.run(EVENT)
    captured.install("public.visit")
    captured.run("insert into visit values (1, 'a'), (2, 'a'), (3, 'b'), (4, 'x'), (200, 'x')")
    return captured


def test_rows_written_through_the_root_and_through_a_leaf_report_the_root(visit: Captured) -> None:
    visit.run("insert into visit_a values (5, 'a'); insert into visit_b values (0, 'b', 6)")
    visit.run("insert into visit_rest values (7, 'y'); update visit_b set n = 3; delete from visit_high")
    assert {event.table for event in visit.events()} == {"public.visit"}
    assert visit.differences() == []


def test_a_row_that_moves_to_another_partition_is_one_update(visit: Captured) -> None:
    visit.events()
    visit.run("update visit set place = 'b' where id = 1")
    assert visit.operations() == ["U"]
    visit.run("update visit set place = 'a', id = id + 50 where id > 2")
    visit.run("update visit_rest set id = 150 where id = 54")
    assert visit.differences() == []


def test_a_row_that_a_trigger_swallows_on_its_way_to_another_partition_is_deleted(visit: Captured) -> None:
    visit.run(
        "create function swallow() returns trigger language plpgsql as $$ begin"
        " if new.id % 2 = 0 then return null; end if; return new; end $$;"
        " create trigger swallow before insert on visit_b for each row execute function swallow()"
    )
    visit.run("insert into visit_a select g, 'a' from generate_series(10, 15) as g")
    visit.run("update visit set place = 'b', n = id where place = 'a'")
    assert visit.differences() == []


def test_a_new_partition_is_captured_from_its_first_row(visit: Captured) -> None:
    visit.run(
        "create table visit_c partition of visit for values in ('c'); insert into visit_c values (9, 'c')"
    )
    visit.run("insert into visit values (10, 'c')")
    assert visit.differences() == []


def test_an_attached_partition_brings_its_rows(visit: Captured) -> None:
    visit.run("create table visit_d (like visit); insert into visit_d values (70, 'd'), (71, 'd')")
    visit.run("alter table visit attach partition visit_d for values in ('d')")
    visit.run("insert into visit_d values (72, 'd')")
    assert visit.differences() == []


def test_a_detached_partition_takes_its_rows_away_and_is_captured_no_longer(visit: Captured) -> None:
    visit.run("alter table visit detach partition visit_a; insert into visit_a values (80, 'a')")
    visit.run("truncate visit_a")
    assert visit.differences() == []


def test_a_partition_with_partitions_of_its_own_comes_and_goes_whole(visit: Captured) -> None:
    visit.run("alter table visit detach partition visit_rest; insert into visit_low values (81, 'x')")
    assert visit.differences() == []
    visit.run("alter table visit attach partition visit_rest default; insert into visit_low values (82, 'x')")
    assert visit.differences() == []


def test_a_dropped_partition_is_reported(visit: Captured) -> None:
    notices: list[str] = []
    visit.app.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
    visit.run("drop table visit_b")
    assert "pgevents: public.visit_b was dropped as a partition of a captured table" in notices
    visit.run("insert into visit values (90, 'a')")
    assert visit.run("select ended from pgevents.captured_table") == [(None,)]


def test_a_truncated_leaf_loses_its_rows_alone(visit: Captured) -> None:
    visit.events()
    visit.run("truncate visit_b")
    assert visit.operations() == ["D"]
    visit.run("truncate visit_rest")
    assert visit.differences() == []


def test_a_truncated_root_is_one_event_however_many_rows_it_had(visit: Captured) -> None:
    visit.events()
    visit.run("truncate visit")
    assert visit.operations() == ["T"]
    assert visit.differences() == []


def test_root_and_leaf_truncated_in_one_statement_of_a_client(visit: Captured) -> None:
    visit.run(
        "do $$ begin truncate visit; insert into visit values (1, 'a'), (2, 'b'); truncate visit_b;"
        " insert into visit values (3, 'b'); end $$"
    )
    assert visit.differences() == []


def test_copy_upsert_and_merge_reach_partitions(visit: Captured) -> None:
    with visit.app.cursor().copy("copy visit (id, place) from stdin") as copy:
        for number in range(20, 40):
            copy.write_row((number, "abxyz"[number % 5]))
    visit.run(
        "insert into visit values (1, 'a', 5), (60, 'b', 6) on conflict (id, place) do update set n = excluded.n"
    )
    visit.run(
        "merge into visit as v using (values (20, 'a'), (99, 'b')) as s (id, place) on v.id = s.id and v.place = s.place"
        " when matched then delete when not matched then insert values (s.id, s.place, 1)"
    )
    assert visit.differences() == []


MERGE = (
    "merge into visit as v using (values (2, 'a', 'b'), (3, 'b', 'x'), (50, 'a', 'a')) as s (id, place, target)"
    " on v.id = s.id and v.place = s.place when matched then update set place = s.target {}"
)


@pytest.mark.parametrize(
    "way",
    [
        "statement", "prepared", "commented", "explained", "plpgsql", "dynamic", "sql function",
        "sql function in plpgsql", "leaf's own root",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "others", ["", "when not matched then insert values (s.id, s.place, 1)"], ids=["moves", "inserts"]
)
def test_merge_may_move_rows_to_other_partitions(visit: Captured, way: str, others: str) -> None:
    """PostgreSQL leaves such rows out of the transition tables of every trigger that this MERGE fires."""
    merge = MERGE.format(others)
    if way == "statement":
        visit.run(merge)
    elif way == "prepared":
        visit.run(f"prepare p as {merge}")
        visit.run("set application_name = 'x'; execute p")
    elif way == "commented":
        visit.run(f"prepare p as {merge}")
        visit.run("/* app=billing */ execute p")
    elif way == "explained":
        visit.run(f"prepare p as {merge}")
        visit.run("explain analyze execute p")
    elif way == "dynamic":
        visit.run(f"prepare p as {merge}")
        visit.run("create function g() returns void language plpgsql as $$ begin execute 'execute p'; end $$")
        visit.run("select g()")
    elif way == "plpgsql":
        visit.run(
            f"do $$ begin {merge}; update visit set n = 9 where id = 50; end $$; update visit set n = 8"
        )
    elif way == "sql function":
        visit.run(
            f"create function f() returns void language sql as $$ {merge} $$; select f(); delete from visit_b"
        )
    elif way == "sql function in plpgsql":
        visit.run(f"create function f() returns void language sql as $$ {merge} $$")
        visit.run("create function g() returns void language plpgsql as $$ begin perform f(); end $$")
        visit.run("select g()")
    else:
        visit.run(
            "merge into visit_rest as v using (values (4, 104), (200, 20)) as s (id, target) on v.id = s.id"
            " when matched then update set id = s.target"
        )
    visit.run("insert into visit values (77, 'a')")
    assert visit.differences() == []


def test_a_statement_that_is_no_merge_is_captured_whole(visit: Captured) -> None:
    """In a function too: row by row costs many times as much."""
    visit.run(
        "create function f() returns text language plpgsql as $$ begin update visit set n = 9;"
        " with one as (select 1 as id) delete from visit using one where visit.id = one.id;"
        " insert into visit values (70, 'b'); return current_setting('pgevents.merging_1', true); end $$"
    )
    assert visit.run("select f()") in ([(None,)], [("",)])
    assert visit.differences() == []


def test_a_captured_table_that_becomes_a_partition_is_captured_as_a_part_alone(visit: Captured) -> None:
    visit.run("create table staging (id int, place text, n int default 0, primary key (id, place))")
    visit.install("public.visit", "public.staging")
    visit.run("insert into staging values (500, 'c'), (501, 'c')")
    assert visit.differences() == []
    visit.run("alter table visit attach partition staging for values in ('c')")
    visit.run(
        "insert into staging values (502, 'c'); insert into visit values (503, 'c'); delete from staging where id = 500"
    )
    assert visit.run("select name, ended from pgevents.captured_table where ended is not null") == [
        ("public.staging", "it is a partition of public.visit now")
    ]
    assert {event.table for event in visit.events() if "502" in event.after.values()} == {"public.visit"}
    rows = visit.run("select id::text, place from visit order by 1")
    visit.drain()
    assert sorted(visit.model.rows["t0"]) == rows


def test_columns_of_a_partition_may_stand_in_another_order(visit: Captured) -> None:
    visit.run("alter table visit add column note text default 'new'; alter table visit drop column n")
    visit.run("insert into visit_b (place, id, note) values ('b', 30, 'leaf'); update visit set note = 'all'")
    assert visit.differences() == []


@pytest.mark.parametrize("into", ["visit", "visit_a"], ids=["the table", "a partition"])
def test_a_merge_is_captured_once_row_by_row(visit: Captured, into: str) -> None:
    visit.run("insert into visit values (20, 'a'), (21, 'a')")
    visit.operations()
    visit.run(
        f"merge into {into} as v using (values (20), (21), (22)) as s (id) on v.id = s.id and v.place = 'a'"
        " when matched and s.id = 20 then delete when matched then update set n = 5"
        " when not matched then insert (id, place) values (s.id, 'a')"
    )
    assert sorted(visit.operations()) == ["D", "I", "U"]
    visit.run(
        f"merge into {into} as v using (values (20), (22)) as s (id) on v.id = s.id and v.place = 'a'"
        " when matched then delete when not matched then insert (id, place) values (s.id, 'a')"
    )
    assert sorted(visit.operations()) == ["D", "I"]
    assert visit.differences() == []
