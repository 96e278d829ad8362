"""Capture runs with its owner's rights for everybody who writes: nobody may borrow them."""

from collections.abc import Iterator

import psycopg
import pytest

from pgevents.config import Table
from tests.integration.db_triggers.captured import Captured

SHADOWED_FUNCTIONS = {
    "nextval(text)": "bigint", "nextval(regclass)": "bigint", "set_config(text, text, boolean)": "text",
    "current_setting(text, boolean)": "text", "pg_sequence_last_value(regclass)": "bigint",
    "statement_timestamp()": "timestamptz", "clock_timestamp()": "timestamptz", "pg_current_xact_id()": "xid8",
    "format(text, anyelement)": "text", "to_jsonb(anyelement)": "jsonb", "publish(text, text, text[], jsonb)": "void",
    "pg_try_advisory_lock_shared(bigint, int)": "boolean", "extract(text, timestamptz)": "numeric",
    "pg_notify(text, text)": "void", "row_number()": "bigint", "count(*)": "bigint", "lower(text)": "text",
}  # fmt: skip
SHADOWED_TYPES = ["text", "int8", "jsonb", "record", "regclass", "bool", "numeric", "uuid", "timestamptz"]
SHADOWED_OPERATORS = ["=", "<>", "*<>", "||", ">", "-"]
OPERANDS = ["bigint", "int", "text", "record", "mood", "boolean"]


@pytest.fixture
def captured_for_all(captured: Captured) -> Iterator[Captured]:
    """Tables that a role without any other right may write, and whose capture uses everything that it can use."""
    captured.run(
        "create type mood as enum ('sad', 'ok');"
        "create table account (id bigint primary key, name text, felt mood, at timestamptz default now(), n numeric, u uuid);"
        "create table seat (id int, who text, primary key (id) deferrable);"
        "create table visit (id int primary key, felt mood) partition by range (id);"
        "create table visit_low partition of visit for values from (0) to (100);"
        "create table visit_high partition of visit for values from (100) to (200)"
    )
    captured.install(Table("public.account", publish=True), "public.seat", "public.visit", doorbell="notify")
    role = "app_" + captured.run("select current_database()")[0][0]
    captured.run(
        f"create role {role}; grant create on database {captured.app.info.dbname} to {role};"
        f"grant usage, create on schema public to {role}; grant select, insert, update, delete, truncate on"
        f" account, seat, visit, visit_low to {role}; alter type mood owner to {role}"
    )
    captured.run(f"set role {role}")
    yield captured
    captured.run(f"reset role; reset search_path; reassign owned by {role} to pgevents_admin")
    captured.run(f"drop owned by {role}; drop role {role}")


def write_everything(captured: Captured) -> None:
    captured.run("insert into account (id, name, felt, n) values (1, 'ann', 'sad', 1), (2, 'bob', 'ok', 2)")
    captured.run(
        "insert into account (id, felt) values (1, 'ok') on conflict (id) do update set felt = excluded.felt"
    )
    captured.run("update account set n = n operator(pg_catalog.+) 1")
    captured.run(
        "with gone as (delete from account returning id) insert into account select id, 'x' from gone limit 1"
    )
    captured.run(
        "insert into seat values (1, 'a'), (2, 'b'); update seat set id = 3 operator(pg_catalog.-) id"
    )
    captured.run(
        "insert into visit values (1, 'sad'), (50, 'ok'); update visit set id = id operator(pg_catalog.+) 60"
    )
    captured.run("truncate visit_low; truncate seat; delete from visit; truncate account")


def test_a_role_needs_no_right_but_that_on_its_table(captured_for_all: Captured) -> None:
    write_everything(captured_for_all)
    assert captured_for_all.differences() == []


def test_a_search_path_full_of_impostors_gains_nothing(captured_for_all: Captured) -> None:
    captured = captured_for_all
    captured.run(
        "create table public.loot (what text); create schema evil; set search_path = evil, pg_catalog, public"
    )
    steal = "begin insert into public.loot values (current_user || ' ran ' || $1); return {}; end"
    for signature, result in SHADOWED_FUNCTIONS.items():
        create_impostor(captured, signature, result)
    for name in SHADOWED_TYPES:
        captured.run(
            f"create function evil.check_{name}(pg_catalog.text) returns boolean language plpgsql as"
            f" $f$ {steal.format('true')} $f$"
        )
        captured.run(f'create domain evil."{name}" as pg_catalog.{name} check (evil.check_{name}(\'{name}\'))'
                     if name not in ("record",) else "select 1")  # fmt: skip
    for position, name in enumerate(SHADOWED_OPERATORS):
        for operand in OPERANDS:
            create_operator(captured, name, operand, position)
    captured.run(
        "create temp table outbox (id int); create temp table new_rows (id int); create temp table pg_class (id int)"
    )
    captured.run("set search_path = evil, pg_temp, public, pg_catalog")
    write_everything(captured)
    captured.run("reset search_path")
    me = captured.run("select current_user")[0][0]
    assert captured.run("select what from public.loot where what not like %s", f"{me} ran %") == []
    captured.run("reset role")
    assert captured.differences() == []


def test_casts_of_a_type_that_the_role_owns_do_not_run_in_capture(captured_for_all: Captured) -> None:
    captured = captured_for_all
    captured.run("create table public.loot (what text)")
    for target in ("text", "json"):
        captured.run(
            f"create function lie_{target}(mood) returns {target} language plpgsql as"
            " $f$ begin insert into public.loot values (current_user); return 'null'; end $f$;"
            f" create cast (mood as {target}) with function lie_{target}(mood) as assignment"
        )
    write_everything(captured)
    assert captured.run("select what from public.loot") == []


def create_impostor(captured: Captured, signature: str, result: str) -> None:
    name = signature.split("(")[0]
    if signature in ("row_number()", "count(*)"):
        captured.run(
            f"create function evil.step_{name}(bigint) returns bigint language plpgsql as"
            f" $f$ begin insert into public.loot values (current_user || ' ran {name}'); return $1; end $f$"
        )
        captured.run(f"create aggregate evil.{name}(*) (sfunc = evil.step_{name}, stype = bigint)")
        return
    body = f"begin insert into public.loot values (current_user || ' ran {name}'); return"
    value = "" if result == "void" else " null"
    captured.run(
        f"create function evil.{signature.replace('(', '(').replace('anyelement', 'anyelement')} returns"
        f" {result} language plpgsql as $f$ {body}{value}; end $f$"
    )


def create_operator(captured: Captured, name: str, operand: str, position: int) -> None:
    function = f"evil.op_{position}_{operand}"
    result = "text" if name in ("||", "-") else "boolean"
    captured.run(
        f"create function {function}({operand}, {operand}) returns pg_catalog.{'bool' if result == 'boolean' else 'text'}"
        f" language plpgsql as $f$ begin insert into public.loot values (current_user || ' ran operator'); return null; end $f$"
    )
    captured.run(
        f"create operator evil.{name} (leftarg = {operand}, rightarg = {operand}, function = {function})"
    )


def test_nobody_may_look_into_the_schema_or_call_its_functions(captured_for_all: Captured) -> None:
    captured = captured_for_all
    for statement in (
        "select * from pgevents.setting", "select pgevents.open_batches(1)", "select pgevents.wake_drain()",
        "insert into pgevents.outbox_1_0 (op) values ('T')", "select nextval('pgevents.event_seq')",
        "create table pgevents.mine (id int)", "create function pgevents.mine() returns int language sql as 'select 1'",
    ):  # fmt: skip
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            captured.run(statement)


def test_no_function_of_the_schema_can_be_executed_by_public(captured_for_all: Captured) -> None:
    captured_for_all.run("reset role")
    executable = captured_for_all.run(
        "select p.oid::regprocedure::text from pg_proc as p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a"
        " where p.pronamespace = 'pgevents'::regnamespace and a.grantee = 0"
    )
    assert executable == []


def test_every_function_with_its_owners_rights_pins_its_search_path_or_was_attacked_here(
    captured_for_all: Captured,
) -> None:
    captured_for_all.run("reset role")
    unpinned = captured_for_all.run(
        "select proname from pg_proc where pronamespace = 'pgevents'::regnamespace and prosecdef and proconfig is null"
    )
    assert all(name == "ring" or name.startswith("capture_") for (name,) in unpinned)
