"""Statements that nobody would write, thrown together by chance: whatever they do, the events end at the tables."""

from random import Random

import psycopg
import pytest

from tests.integration.db_triggers.captured import Captured
from tests.integration.db_triggers.conftest import slow

TABLES = """
create table node (id int primary key, v int default 0, up int references node on delete cascade on update cascade);
create table seat (id int, v int default 0, up int, constraint seat_key primary key (id) deferrable);
create table visit (id int, v int default 0, up int, primary key (id, v)) partition by list (v);
create table visit_0 partition of visit for values in (0, 1, 2);
create table visit_1 partition of visit for values in (3, 4);
create table visit_2 partition of visit default partition by range (id);
create table visit_20 partition of visit_2 for values from (minvalue) to (6);
create table visit_21 partition of visit_2 for values from (6) to (maxvalue);
create function meddle(target regclass, a int, b int) returns int language plpgsql as $$ begin
    if pg_trigger_depth() < 3 then execute case a % 4
        when 0 then format('update %s set v = v + 1 where id = %s', target, b)
        when 1 then format('delete from %s where id = %s', target, b)
        when 2 then format('insert into %s values (%s, %s) on conflict do nothing', target, b, a)
        else format('update %s set up = %s where id between %s and %s', target, 'null', b, b + 2) end;
    end if;
    return a;
end $$;
"""
TRIGGER = """
create function chance_{n}() returns trigger language plpgsql as $$ begin
    if pg_trigger_depth() < 3 then perform meddle('{table}', {a}, {b}); end if;
    return coalesce(new, old);
end $$;
create trigger chance_{n} {when} {event} on {table} for each row when (pg_trigger_depth() < 3) execute function chance_{n}();
"""
STATEMENTS = (
    "insert into {t} values ({k}, {v}), ({k2}, {v2})",
    "insert into {t} values ({k}, {v}) on conflict do nothing",
    "insert into {t} (id, v) select id + 1, v from {t} where id < {k}",
    "update {t} set v = v + {v} where id < {k}",
    "update {t} set id = id + {v} where id > {k}",
    "update {t} set id = {k2} where id = {k}",
    "update {t} set id = {k} + {k2} - id where id in ({k}, {k2})",
    "update {t} set v = meddle('{t}', {v}, {k}) where id <= {k2}",
    "delete from {t} where id = {k} or v = {v}",
    "delete from {t} where id < {k} and meddle('{t}', {v2}, {k2}) >= 0",
    "with gone as (delete from {t} where id < {k} returning *) insert into {t} select id, v + 1, up from gone limit {v}",
    "with moved as (update {t} set id = id + 20 where id < {k} returning *) insert into {t} select id - 20, {v} from moved"
    " limit {v2}",
    "with a as (update {t} set v = {v} where id = {k} returning 1), b as (delete from {t} where id = {k2} returning 1)"
    " insert into {t} select {k2}, {v2} where exists (select from b)",
    "merge into {t} using (values ({k}, {v}), ({k2}, {v2})) as s (id, v) on {t}.id = s.id when matched and s.v > 3"
    " then delete when matched then update set v = s.v when not matched then insert values (s.id, s.v)",
    "insert into {t} values ({k}, {v}), ({k2}, {v2}) returning meddle('{t}', {v2}, {k})",
    "truncate {t} cascade",
    "do $f$ begin update {t} set v = v + 1 where id = {k}; delete from {t} where id = {k2};"
    " insert into {t} values ({k}, {v}); exception when others then update {t} set v = {v}; end $f$",
)
LEAF_STATEMENTS = (
    "truncate visit_{v01}", "update visit_2 set id = id + {v}", "insert into visit_1 values ({k}, 3)",
    "alter table visit detach partition visit_1; alter table visit attach partition visit_1 for values in (3, 4)",
)  # fmt: skip
WEIGHTS = [1 if statement.startswith("truncate") else 8 for statement in STATEMENTS]


def make_triggers(captured: Captured, random: Random) -> None:
    """Up to three row triggers that change their own table, some of them before and some after."""
    for number in range(random.randint(0, 3)):
        table = random.choice(("node", "seat", "visit"))
        when = "after" if table == "visit" else random.choice(("before", "after"))
        event = random.choice(("insert", "update", "delete"))
        a, b = random.randint(0, 5), random.randint(1, 9)
        captured.run(TRIGGER.format(n=number, table=table, when=when, event=event, a=a, b=b))


def statement(random: Random) -> str:
    values = {
        "k": random.randint(1, 12),
        "k2": random.randint(1, 12),
        "v": random.randint(0, 5),
        "v2": random.randint(0, 5),
    }
    if random.random() < 0.05:
        return random.choice(LEAF_STATEMENTS).format(v01=random.choice(("0", "20")), **values)
    (chosen,) = random.choices(STATEMENTS, WEIGHTS)
    return chosen.format(t=random.choice(("node", "seat", "visit")), **values)


def run_at_random(captured: Captured, seed: int, transactions: int) -> int:
    """How many statements took effect; after each transaction the model must equal the tables."""
    random = Random(seed)
    captured.run(TABLES)
    captured.install("public.node", "public.seat", "public.visit")
    make_triggers(captured, random)
    done: list[str] = []
    for _ in range(transactions):
        with captured.app.transaction(force_rollback=random.random() < 0.1):
            if random.random() < 0.3:
                captured.run("set constraints seat_key deferred")
            for _ in range(random.randint(1, 4)):
                try:
                    with captured.app.transaction(force_rollback=random.random() < 0.1):
                        sql = statement(random)
                        captured.run(sql)
                        done.append(sql)
                except psycopg.Error as error:
                    assert "pgevents" not in str(error), sql
            try:
                with captured.app.transaction():
                    captured.run("set constraints all immediate")
            except psycopg.errors.UniqueViolation:
                raise psycopg.Rollback from None
        assert captured.differences() == [], "; ".join(done[-5:])
    return len(done)


@pytest.mark.parametrize("seed", range(8))
def test_statements_at_random_end_with_equal_tables(captured: Captured, seed: int) -> None:
    assert run_at_random(captured, seed, 40) > 20


@slow
@pytest.mark.parametrize("seed", range(100, 300))
def test_more_statements_at_random_end_with_equal_tables(captured: Captured, seed: int) -> None:
    run_at_random(captured, seed, 150)
