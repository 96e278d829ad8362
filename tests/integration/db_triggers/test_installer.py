"""Installing is one transaction that can be repeated, run at once from many places, and undone."""

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from db_triggers import installer, migrations
from db_triggers.installer import Installed, install, uninstall
from pgevents.config import Source, Table
from pgevents.errors import InputError
from tests.integration.db_triggers.captured import NAME, WAKE, Captured

TABLES = """
create table account (id int primary key, name text);
create table entry (id int primary key, account_id int references account);
create table visit (id int primary key, place text) partition by range (id);
create table visit_low partition of visit for values from (0) to (100);
"""
SOURCE = Source(
    tables=tuple(Table(f"public.{name}") for name in ("account", "entry", "visit")), doorbell="schedule"
)
RELEASED = sorted(path.name for path in (migrations.FOLDER / "migrations").glob("*.sql"))
CATALOG = """
select 'class', format('%I.%I', n.nspname, c.relname), concat(c.relkind, c.relacl)
from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace where n.nspname !~ '^pg_'
union all
select 'proc', p.oid::regprocedure::text, concat(md5(p.prosrc), p.proconfig, p.proacl, p.prosecdef) from pg_proc as p
inner join pg_namespace as n on n.oid = p.pronamespace where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
union all
select 'trigger', format('%s %s', tgrelid::regclass, tgname), concat(tgenabled, tgfoid::regproc, tgtype) from pg_trigger
where not tgisinternal
union all
select 'event trigger', evtname, concat(evtevent, evtenabled, evttags) from pg_event_trigger
union all
select 'namespace', nspname, concat(nspacl) from pg_namespace where nspname !~ '^pg_(toast|temp)'
order by 1, 2
"""


@pytest.fixture
def tables(captured: Captured) -> Captured:
    captured.run(TABLES)
    return captured


def catalog(captured: Captured) -> list[tuple[str, ...]]:
    return captured.run(CATALOG)


def test_a_second_installation_changes_nothing(tables: Captured) -> None:
    first = install(tables.app, NAME, SOURCE, WAKE)
    assert first == Installed(RELEASED, ["public.account", "public.entry", "public.visit"], [])
    before, rows = catalog(tables), tables.run("select * from pgevents.layout")
    assert install(tables.app, NAME, SOURCE, WAKE) == Installed([], [], [])
    assert catalog(tables) == before
    assert tables.run("select * from pgevents.layout") == rows


def test_twenty_installers_at_once_install_once(tables: Captured) -> None:
    start = threading.Barrier(20)

    def one(connection: psycopg.Connection) -> Installed:
        start.wait()
        return install(connection, NAME, SOURCE, WAKE)

    with ThreadPoolExecutor(20) as threads:
        done = list(threads.map(one, [tables.connect() for _ in range(20)]))
    assert sorted(len(each.migrations) for each in done) == [0] * 19 + [len(RELEASED)]
    assert tables.run("select count(*), count(distinct name) from pgevents.captured_table") == [(3, 3)]
    tables.run("insert into account values (1)")
    assert tables.run("select count(*) from pgevents.outbox_1_0") == [(1,)]


def test_installing_beside_writers_disturbs_none_of_them(tables: Captured) -> None:
    done = threading.Event()
    failures: list[Exception] = []

    def write(number: int) -> int:
        connection, count = tables.connect(), 0
        try:
            while not done.is_set():
                count += 1
                connection.execute("insert into account values (%s, 'x')", (number * 1_000_000 + count,))
                connection.execute(
                    "update account set name = 'y' where id = %s", (number * 1_000_000 + count,)
                )
        except psycopg.Error as error:
            failures.append(error)
        return count

    with ThreadPoolExecutor() as threads:
        written = [threads.submit(write, number) for number in range(4)]
        for exclude in [(), ("name",), (), ("name",), ()]:
            changed = Source(tables=(Table("public.account", exclude=exclude),), doorbell="schedule")
            install(tables.app, NAME, changed, WAKE)
        done.set()
    assert failures == []
    assert all(each.result() > 0 for each in written)


def test_a_table_added_to_the_file_is_captured_and_one_taken_out_no_longer(tables: Captured) -> None:
    tables.install("public.account", "public.entry")
    tables.run("insert into account values (1)")
    assert tables.install("public.entry", "public.visit") == Installed(
        [], ["public.visit"], ["public.account"]
    )
    tables.run("insert into account values (2); insert into entry values (3); insert into visit values (4)")
    assert [event.after["id"] for event in tables.events()] == ["1", "3", "4"]
    assert tables.run("select ended from pgevents.captured_table where name = 'public.account'") == [
        ("no longer in pipeline.toml",)
    ]


def test_a_table_taken_out_and_put_back_is_captured_again(tables: Captured) -> None:
    tables.install("public.account")
    tables.install()
    tables.run("insert into account values (1)")
    assert tables.install("public.account").captured == ["public.account"]
    tables.run("update account set name = 'seen'")
    assert tables.operations() == ["U"]


def test_a_changed_key_or_exclusion_takes_effect_and_old_events_keep_their_shape(tables: Captured) -> None:
    tables.install("public.account")
    tables.run("insert into account values (1, 'a')")
    tables.run("alter table account add column code text; update account set code = 'c1'")
    tables.install(Table("public.account", key=("code",), exclude=("name",)))
    tables.run("update account set code = 'c2'")
    assert [sorted(event.after) for event in tables.events()] == [
        ["id", "name"],
        ["code", "id", "name"],
        ["code", "id"],
    ]
    tables.drain()


def test_an_uninstallation_leaves_the_database_as_it_was(tables: Captured) -> None:
    tables.run("insert into account values (1, 'a')")
    before = catalog(tables)
    install(tables.app, NAME, SOURCE, WAKE)
    tables.run("insert into account values (2, 'b'); insert into visit values (3)")
    assert catalog(tables) != before
    uninstall(tables.app)
    assert catalog(tables) == before
    tables.run("update account set name = 'c'")
    assert tables.run("select id, name from account order by id") == [(1, "c"), (2, "c")]
    uninstall(tables.app)
    install(tables.app, NAME, SOURCE, WAKE)


def test_a_database_of_a_later_version_is_refused(tables: Captured) -> None:
    install(tables.app, NAME, SOURCE, WAKE)
    tables.run("insert into pgevents.migration (name) values ('9999_later.sql')")
    before = catalog(tables)
    with pytest.raises(
        InputError, match="holds migration 9999_later.sql, which this version does not know; use the"
    ):
        install(tables.app, NAME, SOURCE, WAKE)
    assert catalog(tables) == before


def test_a_new_migration_is_applied_once_and_alone(
    tables: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tables.app, NAME, SOURCE, WAKE)
    later = copied(tmp_path)
    (later / "migrations" / "0002_next.sql").write_text("create table pgevents.next (id int);")
    monkeypatch.setattr(migrations, "FOLDER", later)
    assert install(tables.app, NAME, SOURCE, WAKE).migrations == ["0002_next.sql"]
    assert install(tables.app, NAME, SOURCE, WAKE).migrations == []


@pytest.mark.parametrize("broken", ["migration", "function", "table", "event trigger"])
def test_a_failure_half_way_leaves_nothing_behind(
    tables: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    before = catalog(tables)
    later = copied(tmp_path)
    if broken == "migration":
        (later / "migrations" / "0002_next.sql").write_text(
            "create table pgevents.next (id int); select 1 / 0;"
        )
    if broken == "function":
        (later / "functions" / "zzz.sql").write_text(
            "create function pgevents.zzz() returns nonsense language sql as ''"
        )
    if broken == "table":
        tables.run(
            "create table wrong (id int primary key); alter table wrong add constraint x check (id > 0)"
        )
        monkeypatch.setattr(installer, "_capture", failing(installer._capture))
        before = catalog(tables)
    if broken == "event trigger":
        monkeypatch.setitem(installer._EVENT_TRIGGERS, "follow_drop", "no_such_event")
    monkeypatch.setattr(migrations, "FOLDER", later)
    with pytest.raises((psycopg.Error, ZeroDivisionError)):
        install(tables.app, NAME, SOURCE, WAKE)
    assert catalog(tables) == before


def test_a_table_that_stays_locked_is_named_and_nothing_is_changed(
    tables: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installer, "_LOCK_TIMEOUT", "200ms")
    before = catalog(tables)
    with tables.connect() as other, other.transaction():
        other.execute("lock table entry in access exclusive mode")
        with pytest.raises(InputError, match="shop: a captured table stayed locked for 200ms; try again"):
            install(tables.app, NAME, SOURCE, WAKE)
    assert catalog(tables) == before


def test_a_table_too_wide_for_one_row_of_the_outbox_is_captured_whole(captured: Captured) -> None:
    columns = [f"n{number} bigint default {number}" for number in range(700)]
    captured.run(f"create table wide (id int primary key, {', '.join(columns)})")
    texts = [f"t{number} text" for number in range(300)]
    captured.run(f"create table texts (id int primary key, {', '.join(texts)})")
    captured.install("public.wide", "public.texts")
    captured.run("insert into wide values (1), (2)")
    captured.run("update wide set n5 = 7; update wide set id = id + 10, n6 = null")
    values = ", ".join(f"repeat(md5('{number}'), 200)" for number in range(300))
    captured.run("insert into texts values (1); update texts set t1 = 'short'")
    captured.run(f"insert into texts values (2, {values}); update texts set t1 = 'short'")
    assert captured.differences() == []


def copied(folder: Path) -> Path:
    for name in ("migrations", "functions"):
        shutil.copytree(migrations.FOLDER / name, folder / name)
    return folder


def failing(step: Callable[..., object]) -> Callable[..., object]:
    def then_fail(*arguments: object) -> object:
        step(*arguments)
        raise ZeroDivisionError

    return then_fail
