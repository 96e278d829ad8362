"""What the stand-in refuses and what it rewrites, statement by statement."""

import pytest

from local.redshift.refusals import Refused
from local.redshift.tokens import statements
from local.redshift.translation import translate

BRANCHES = "when matched then delete when not matched then insert values (1)"
REFUSED = [
    ("insert into t values (1) on conflict do nothing", "42601"),
    ("insert into t values (1) returning a", "42601"),
    ("delete from t returning *", "42601"),
    ("select distinct on (a) a from t", "42601"),
    ("select a from t for update", "42601"),
    ("select a from t for no key update", "42601"),
    ("select * from t, lateral (select 1) x", "42601"),
    ("select * from (values (1), (2)) v", "42601"),
    ("values (1)", "42601"),
    ("insert into t select * from (values (1)) v", "42601"),
    ("select array[1, 2]", "42601"),
    ("select a -> 'b' from t", "42883"),
    ("select a #>> 'b' from t", "42883"),
    ("select unnest(a) from t", "0A000"),
    ("select string_agg(a, ',') from t", "0A000"),
    ("select jsonb_build_object('a', 1)", "0A000"),
    ("select pg_advisory_xact_lock(1)", "0A000"),
    ("select pg_try_advisory_lock(1) from pg_class", "0A000"),
    ("select nextval('s')", "0A000"),
    ("select E'a\\nb'", "42704"),
    ("select '1'::uuid", "0A000"),
    ("select cast('{}' as jsonb)", "0A000"),
    ("select '{1}'::int[]", "0A000"),
    ("create table t (a json)", "0A000"),
    ("create table t (a int, b jsonb not null)", "0A000"),
    ("create table t (a uuid)", "0A000"),
    ("create table t (a bytea)", "0A000"),
    ("create table t (a int[])", "0A000"),
    ("create table t (a bigserial)", "0A000"),
    ("create table t (a varchar(65536))", "22023"),
    ("create table t (a char(5000))", "22023"),
    ("create table t (a numeric(39, 2))", "22023"),
    ("create table t (a int check (a > 1))", "42601"),
    ("create table t (a int, check (a > 1))", "42601"),
    ("create table t (a int generated always as (1) stored)", "42601"),
    ("create temp table t (a int) on commit drop", "42601"),
    ("create table t (a int) partition by range (a)", "42601"),
    ("alter table t add column if not exists a int", "42601"),
    ("alter table t add column a int, add column b int", "42601"),
    ("alter table t add column a uuid", "0A000"),
    ("alter table t alter column a type bigint", "0A000"),
    ("alter table t append from u", "0A000"),
    ("create index i on t (a)", "0A000"),
    ("create unique index i on t (a)", "0A000"),
    ("create sequence s", "0A000"),
    ("create type e as enum ('a')", "0A000"),
    ("create extension vector", "0A000"),
    ("create trigger x after insert on t execute function f()", "0A000"),
    ("listen channel", "0A000"),
    ("notify channel", "0A000"),
    ("savepoint s", "0A000"),
    ("rollback to savepoint s", "0A000"),
    ("do $$ begin end $$", "0A000"),
    ("unload ('select 1') to 's3://b/k'", "0A000"),
    ("set standard_conforming_strings = on", "55P02"),
    (
        f"merge into t using (select 1 a) s on t.a = s.a {BRANCHES}",
        "0A000",
    ),
    (
        f"merge into t x using s on x.a = s.a {BRANCHES}",
        "42601",
    ),
    ("merge into t using s on t.a = s.a when matched and s.b then delete", "42601"),
    ("merge into t using s on t.a = s.a when matched then delete", "42601"),
]


@pytest.mark.parametrize(("sql", "code"), REFUSED, ids=[sql for sql, _ in REFUSED])
def test_what_redshift_lacks_is_refused(sql: str, code: str) -> None:
    (statement,) = statements(sql)
    with pytest.raises(Refused) as refused:
        translate(statement)
    assert refused.value.refusal.code == code


@pytest.mark.parametrize(
    "sql",
    [
        "select 'insert on conflict returning', 'x -> y'",
        'select "uuid", "json", "values" from t',
        "select a as json from t",
        "insert into t (a, b) values (1, 'E'), (2, 'it''s ''E''')",
        "delete from t using s where t.a = s.a",
        f"merge into t using s on t.a = s.a {BRANCHES}",
        "update t set a = s.a from s where s.b = t.b",
        "with x as (select 1 a) select a from x",
        "lock table a.t",
        "drop table if exists t cascade",
        "create view v as select a from t",
        "select count(*) over (partition by a order by b) from t",
        "select array_agg(attname), '{1}'::int[] from pg_catalog.pg_attribute",
        "select * from information_schema.columns, lateral (select 1) x",
        "select 1 /* on conflict */ -- returning",
    ],
)
def test_what_redshift_has_passes_unchanged(sql: str) -> None:
    (statement,) = statements(sql)
    assert translate(statement).sql == sql


@pytest.mark.parametrize(
    ("sql", "translated"),
    [
        ('select "A", "É" from "T"', 'select "a", "É" from "t"'),
        ("select * from #staged", 'select * from "#staged"'),
        ("begin isolation level serializable", "begin isolation level repeatable read"),
        ("begin isolation level read committed read only", "begin isolation level repeatable read read only"),
        ("select nvl(a, 1), sysdate", "select coalesce(a, 1), (now() at time zone 'utc')"),
        ("select dateadd(day, 1, a)", "select dateadd('day', 1, a)"),
        ("select a::varchar(max)", "select a::varchar(65535)"),
        ("create view v as select 1 a with no schema binding", "create view v as select 1 a "),
        ("set query_group to 'x'", "set redshift.query_group to 'x'"),
        ("alter table t alter diststyle even", "alter table t replica identity default"),
        ("alter table t add primary key (a)", "alter table t replica identity default"),
        ("create table t (like u)", "create table t (like u including constraints)"),
        ("create table #t (a int)", 'create temp table "#t" (a int)'),
    ],
)
def test_what_only_redshift_has_is_rewritten(sql: str, translated: str) -> None:
    (statement,) = statements(sql)
    assert translate(statement).sql.rstrip() == translated.rstrip()
