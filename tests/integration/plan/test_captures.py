"""The plan for a source names what an installation would do, and nothing after it was done."""

import psycopg
import pytest

from db_triggers import migrations
from db_triggers.installer import Wake
from ops.plan.captures import captured_columns
from ops.plan.difference import Difference
from ops.plan.functions import released
from pgevents.config import Source, Table
from tests.integration.plan.conftest import SOURCE, Planned

UNFOLLOWED = "drop event trigger pgevents_follow_ddl; drop event trigger pgevents_follow_drop"
ACCOUNT, VISIT = "shop.public.account", "shop.public.visit"


def lines(differences: list[Difference]) -> list[str]:
    return [f"{each.action} {each.where}: {each.what}" for each in differences]


def test_for_a_database_without_capture_everything_is_added(planned: Planned) -> None:
    count = len(list((migrations.FOLDER / "migrations").glob("*.sql")))
    assert lines(planned.plan()) == [
        f"add shop: schema pgevents: {count} migrations, {len(released())} functions",
        "add shop: event triggers pgevents_follow_ddl and pgevents_follow_drop; doorbell schedule",
        f"add {ACCOUNT}: triggers for INSERT, UPDATE, DELETE and TRUNCATE",
        f"add {VISIT}: triggers for INSERT, UPDATE, DELETE and TRUNCATE and on its 1 partitions",
    ]


def test_once_installed_nothing_is_left_to_do(planned: Planned) -> None:
    planned.install()
    assert planned.plan() == []


def test_a_plan_waits_for_no_writer_and_not_for_long_for_a_ddl(planned: Planned) -> None:
    planned.install()
    with psycopg.connect(planned.connection.info.dsn) as other:
        other.execute("insert into account values (1); insert into visit values (1)")
        assert planned.plan() == []
        other.execute("lock table visit in access exclusive mode")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            planned.plan()
    assert planned.connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_every_released_function_is_found_in_its_file_and_in_the_database(planned: Planned) -> None:
    planned.install()
    rows = planned.connection.execute(
        "select proname::text, prosrc from pg_proc where pronamespace = 'pgevents'::regnamespace"
        r" and proname !~ '^capture_\d'"
    ).fetchall()
    assert {tuple(each) for each in released()} == set(rows)


def test_a_table_that_is_new_in_the_file_is_added_and_one_that_left_it_removed(planned: Planned) -> None:
    planned.install(Source(tables=SOURCE.tables[:1], doorbell="schedule"))
    assert lines(planned.plan(Source(tables=SOURCE.tables[1:], doorbell="schedule"))) == [
        f"add {VISIT}: triggers for INSERT, UPDATE, DELETE and TRUNCATE and on its 1 partitions",
        f"remove {ACCOUNT}: its triggers: it is no longer in pipeline.toml",
    ]


def test_other_settings_of_a_table_are_changes(planned: Planned) -> None:
    planned.install()
    account = Table("public.account", key=("id", "name"), publish=True)
    changed = Source(tables=(account, SOURCE.tables[1]), doorbell="schedule")
    assert lines(planned.plan(changed)) == [
        f"change {ACCOUNT}: key: (id) becomes (id, name)",
        f"change {ACCOUNT}: exclude: (secret) becomes ()",
        f"change {ACCOUNT}: publish: false becomes true",
        f"add {ACCOUNT}: captured columns secret",
    ]
    planned.install(changed)
    assert planned.plan(changed) == []


def test_another_doorbell_and_another_function_are_changes(planned: Planned) -> None:
    planned.install()
    elsewhere = Wake("pgevents-dev-transform", "eu-west-1")
    assert lines(planned.plan(Source(tables=SOURCE.tables, doorbell="notify"), elsewhere)) == [
        "change shop: setting doorbell: schedule becomes notify",
        "change shop: setting function: pgevents-prod-transform becomes pgevents-dev-transform",
    ]
    assert planned.plan(wake=None) == []


def test_columns_that_capture_has_not_followed_are_named(planned: Planned) -> None:
    """Event triggers follow every DDL; here they are gone."""
    planned.install()
    planned.run(UNFOLLOWED)
    planned.run(
        "alter table account add column age int, drop column name; alter table visit alter place type text"
    )
    assert lines(planned.plan()) == [
        "add shop: event triggers pgevents_follow_ddl, pgevents_follow_drop, which fire always",
        f"add {ACCOUNT}: captured columns age",
        f"remove {ACCOUNT}: captured columns name",
    ]
    planned.run("alter table visit alter place type jsonb using null")
    assert f"change {VISIT}: captured columns place" in lines(planned.plan())
    planned.install()
    assert planned.plan() == []


def test_triggers_that_somebody_dropped_or_disabled_are_missing(planned: Planned) -> None:
    planned.install()
    planned.run(UNFOLLOWED)
    planned.run('drop trigger "!pgevents_delete" on account; alter table visit_low disable trigger all')
    _, dropped, disabled = lines(planned.plan())
    assert dropped == f"add {ACCOUNT}: triggers delete on account, missing or disabled"
    assert disabled.startswith(f"add {VISIT}: triggers insert on visit_low, ")
    planned.install()
    assert planned.plan() == []


def test_a_function_that_is_not_this_version_s_is_changed(planned: Planned) -> None:
    planned.install()
    planned.run("create or replace function pgevents.ring() returns trigger language plpgsql as 'begin end'")
    planned.run("drop function pgevents.last_window() cascade")
    assert lines(planned.plan()) == [
        "add shop: functions of the schema pgevents: last_window",
        "change shop: functions of the schema pgevents: ring",
    ]


def test_a_migration_that_is_missing_is_a_change_and_an_unknown_one_is_in_the_way(planned: Planned) -> None:
    planned.install()
    newest = max(path.name for path in (migrations.FOLDER / "migrations").glob("*.sql"))
    planned.connection.execute(
        "update pgevents.migration set name = '9999_later.sql' where name = %s", (newest,)
    )
    assert lines(planned.plan()) == [
        f"change shop: schema pgevents: migrations {newest}",
        "blocked shop: holds migration 9999_later.sql, which this version does not know;"
        " use the version that installed it",
    ]


@pytest.mark.parametrize("installed", [False, True])
def test_what_would_make_the_installation_fail_is_in_the_way(planned: Planned, installed: bool) -> None:
    if installed:
        planned.install()
    planned.run("create table keyless (name text)")
    tables = (*SOURCE.tables, Table("public.keyless"), Table("public.ghost"))
    blocked = [each.what for each in planned.plan(Source(tables=tables)) if each.action == "blocked"]
    assert blocked == [
        "the extension aws_lambda is missing; run: create extension aws_lambda cascade",
        "sources.shop.tables[2]: public.keyless has no primary key; name the columns of its key: key = [...]",
        "sources.shop.tables[3]: table public.ghost does not exist in"
        f" {planned.connection.info.dbname}; create it or correct the name",
    ]


def test_columns_are_those_that_capture_has(planned: Planned) -> None:
    planned.install()
    for table in SOURCE.tables:
        row = planned.connection.execute(
            "select l.key, l.columns, l.types from pgevents.layout as l"
            " inner join pgevents.captured_table as c using (table_id) where c.name = %s",
            (table.table,),
        ).fetchone()
        shape = captured_columns(planned.connection, table)
        assert shape is not None and row is not None
        assert (list(shape.key), [*shape.columns], [*shape.columns.values()]) == row
    assert captured_columns(planned.connection, Table("public.ghost")) is None
