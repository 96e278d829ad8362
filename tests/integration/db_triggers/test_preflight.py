"""What a database lacks is said before anything is installed: all of it at once, each with what to do."""

from collections.abc import Iterator

import psycopg
import pytest

from db_triggers.installer import install
from db_triggers.preflight import problems
from pgevents.config import Doorbell, Source, Table
from pgevents.errors import InputError
from tests.integration.db_triggers.captured import NAME, WAKE, Captured


def found(captured: Captured, *tables: Table, doorbell: Doorbell = "schedule") -> list[str]:
    """The problems with these tables, without where they stand."""
    listed = problems(captured.app, NAME, Source(tables=tables, doorbell=doorbell))
    return [line.split(": ", 1)[1] if line.startswith("sources.") else line for line in listed]


@pytest.fixture
def role(captured: Captured) -> Iterator[str]:
    name = "installer_" + captured.app.info.dbname
    captured.run(f"create role {name}; create table account (id int primary key, name text)")
    yield name
    captured.run(f"reset role; drop owned by {name}; drop role {name}")


def test_a_database_that_has_everything_has_no_problems(captured: Captured) -> None:
    captured.run("create table account (id int primary key)")
    assert found(captured, Table("public.account"), doorbell="notify") == []


def test_every_problem_is_named_at_once_and_nothing_is_installed(captured: Captured) -> None:
    captured.run("create table account (id int, name text)")
    source = Source(
        tables=(Table("public.acount"), Table("public.account", exclude=("nam",))), doorbell="invoke"
    )
    with pytest.raises(InputError) as refusal:
        install(captured.app, NAME, source, WAKE)
    assert str(refusal.value) == (
        "shop: the extension aws_lambda is missing; run: create extension aws_lambda cascade"
        f"; sources.shop.tables[0]: table public.acount does not exist in {captured.app.info.dbname}"
        "; create it or correct the name"
        "; sources.shop.tables[1]: public.account has no primary key; name the columns of its key: key = [...]"
        "; sources.shop.tables[1]: public.account has no column nam; expected one of id, name"
    )
    assert captured.run("select to_regnamespace('pgevents')") == [(None,)]


def test_names_are_taken_as_they_stand_and_not_folded(captured: Captured) -> None:
    captured.run('create table "Account" ("Id" int primary key)')
    assert found(captured, Table("public.Account", key=("Id",))) == []
    assert "does not exist" in found(captured, Table("public.account"))[0]


def test_what_is_no_table_is_refused(captured: Captured) -> None:
    captured.run("create view seen as select 1 as id")
    said = ["public.seen is not a table; only ordinary and partitioned tables can be captured"]
    assert found(captured, Table("public.seen", key=("id",))) == said


def test_a_partition_is_refused_in_favour_of_its_root(captured: Captured) -> None:
    captured.run("create table visit (id int primary key) partition by range (id)")
    captured.run("create table low partition of visit for values from (0) to (9)")
    assert found(captured, Table("public.low")) == [
        "public.low is a partition, and what is written through visit would not be seen; capture visit"
    ]


def test_inheritance_is_refused(captured: Captured) -> None:
    captured.run(
        "create table parent (id int primary key); create table child (primary key (id)) inherits (parent)"
    )
    said = "inherits or is inherited from, and a change may reach it through the other table"
    assert all(said in found(captured, Table(f"public.{name}"))[0] for name in ("parent", "child"))


def test_a_table_with_too_many_columns_is_refused_until_some_are_excluded(captured: Captured) -> None:
    columns = [f"c{number} int" for number in range(800)]
    captured.run(f"create table wide (id int primary key, {', '.join(columns)})")
    said = ["public.wide has 801 columns; at most 798 can be captured: exclude some"]
    assert found(captured, Table("public.wide")) == said
    assert found(captured, Table("public.wide", exclude=("c1", "c2", "c3"))) == []


def test_a_role_that_may_nothing_is_told_what_it_needs(captured: Captured, role: str) -> None:
    database = captured.app.info.dbname
    captured.run(f"set role {role}")
    assert found(captured, Table("public.account")) == [
        f"role {role} may not create a schema in {database}; grant create on database",
        f"role {role} may not create event triggers; install as rds_superuser (on RDS) or a superuser",
        f"role {role} does not own public.account and all its partitions; install as their owner",
    ]


def test_a_partition_of_another_owner_is_noticed(captured: Captured, role: str) -> None:
    captured.run("create table visit (id int primary key) partition by range (id)")
    captured.run("create table low partition of visit for values from (0) to (9)")
    captured.run(f"alter table visit owner to {role}; set role {role}")
    assert any(
        "does not own public.visit and all its partitions" in line
        for line in found(captured, Table("public.visit"))
    )


def test_a_schema_that_somebody_else_prepared_is_refused(captured: Captured, role: str) -> None:
    captured.run(f"create schema pgevents authorization {role}")
    assert found(captured, Table("public.account")) == [
        f"the schema pgevents belongs to {role}; drop it, or install as {role}"
    ]


def test_a_role_without_the_right_to_invoke_is_told_so(captured: Captured, role: str) -> None:
    captured.run(
        "create schema aws_lambda; create function aws_lambda.invoke() returns int language sql as 'select 1'"
    )
    captured.run(f"revoke all on function aws_lambda.invoke() from public; set role {role}")
    said = f"role {role} may not call aws_lambda.invoke; grant usage on schema aws_lambda and execute on all functions in it"
    assert said in found(captured, Table("public.account"), doorbell="invoke")


def test_forced_row_security_is_refused_where_it_would_hide_rows(captured: Captured, role: str) -> None:
    captured.run(f"alter table account enable row level security, force row level security, owner to {role}")
    assert found(captured, Table("public.account")) == []
    captured.run(f"set role {role}")
    said = "public.account forces row security on its owner; install as a role with bypassrls"
    assert said in found(captured, Table("public.account"))


def test_a_table_that_a_subscription_fills_is_refused(captured: Captured) -> None:
    captured.run("create table account (id int primary key); create publication p for table account")
    try:
        captured.run(
            "create subscription s connection 'host=127.0.0.1 port=1' publication p with (connect = false)"
        )
        captured.run(
            "insert into pg_subscription_rel values ((select oid from pg_subscription), 'account'::regclass, 'r', null)"
        )
    except psycopg.errors.InsufficientPrivilege:
        captured.run("set allow_system_table_mods = on")
        captured.run(
            "insert into pg_subscription_rel values ((select oid from pg_subscription), 'account'::regclass, 'r', null)"
        )
    try:
        assert "is filled by a subscription" in found(captured, Table("public.account"))[0]
    finally:
        captured.run(
            "alter subscription s disable; alter subscription s set (slot_name = none); drop subscription s"
        )


def test_the_function_pg_notify_is_looked_for(captured: Captured) -> None:
    captured.run("create table account (id int primary key); begin; set allow_system_table_mods = on")
    captured.run("alter function pg_catalog.pg_notify(text, text) rename to gone")
    said = found(captured, Table("public.account"), doorbell="notify")
    captured.run("rollback")
    assert said == ["the function pg_notify does not exist; choose another doorbell"]
