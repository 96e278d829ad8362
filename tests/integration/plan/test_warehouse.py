"""The plan for Redshift names what the writer would make, and nothing once a batch has been applied.

Against the stand-in: its catalog is PostgreSQL's, with Redshift's names for types.
"""

from collections.abc import Iterator
from itertools import count

import pytest

from local.postgres import PostgresServer
from ops.plan.databases import Compared, Reach, compare_databases
from ops.plan.difference import Difference
from pgevents.batch import Batch, Change, Mode, TableChanges
from pgevents.config import Pipeline, Policies, RedshiftSink, Route, Source
from redshift_writer.connect import Sessions
from redshift_writer.writer import Writer
from tests.integration.plan.conftest import SOURCE, Planned
from tests.local.redshift.stand_in import Running, running

_schemas = count(1)


@pytest.fixture(scope="session")
def warehouse(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    postgres_server.create_database("planned_warehouse")
    upstream = postgres_server.dsn("planned_warehouse")
    with running(tmp_path_factory.mktemp("a warehouse"), upstream) as stand_in:
        yield stand_in


@pytest.fixture
def schema() -> str:
    return f"planned_{next(_schemas)}"


def pipeline(schema: str, **route: object) -> Pipeline:
    routed = Route("shop.public.account", ("lake",), **route)  # type: ignore[arg-type]
    tables = Source(tables=SOURCE.tables[:1], doorbell="schedule")
    return Pipeline({"shop": tables}, {"lake": RedshiftSink(schema)}, (routed,))


def compare(planned: Planned, warehouse: Running | None, asked: Pipeline) -> Compared:
    planned.install(asked.sources["shop"])
    dsn = warehouse.dsn if warehouse else ""
    return compare_databases(asked, Reach({"shop": planned.connection.info.dsn}, dsn))


def write(warehouse: Running, schema: str, *tables: TableChanges, batch_id: int = 1) -> None:
    sessions = Sessions(warehouse.settings, lambda _: "")
    batch = Batch("shop", batch_id, 1, "2026-01-01T00:00:00+00:00", list(tables))
    Writer(sessions, schema, Policies(), lambda _: None).apply(batch)
    sessions.drop()


def target(asked: Pipeline, planned: Planned, change: Change) -> TableChanges:
    from ops.plan.captures import captured_columns
    from ops.plan.targets import redshift_targets

    shape = captured_columns(planned.connection, SOURCE.tables[0])
    assert shape is not None
    [made], _ = redshift_targets(asked, {"shop.public.account": shape})
    return TableChanges(made.target, made.mode, made.sinks, made.key, made.columns, [change])


@pytest.mark.parametrize("mode", ["mirror", "history", "both"])
def test_tables_are_to_be_made_and_after_a_batch_nothing_is(
    planned: Planned, warehouse: Running, schema: str, mode: Mode
) -> None:
    asked = pipeline(schema, mode=mode, columns={"slug": "text", "active": "boolean"})
    before = [f"{each.where}: {each.what}" for each in compare(planned, warehouse, asked).differences]
    columns = "id integer, name varchar(65535), slug varchar(65535), active boolean"
    expected = [
        "lake.pgevents_applied_batch: the writer's own table",
        "lake.pgevents_truncation: the writer's own table",
    ]
    if mode != "history":
        expected += [
            f"lake.account__versions: table with key (id): {columns}",
            "lake.account: view of the living rows",
        ]
    if mode != "mirror":
        expected += [f"lake.account_history: table with key (id): {columns}"]
    assert before == expected
    write(warehouse, schema, target(asked, planned, Change("INSERT", 1, ("1", "a", "a", "t"))))
    assert compare(planned, warehouse, asked) == Compared([], {})


def test_a_new_column_is_to_be_added_in_table_and_view(
    planned: Planned, warehouse: Running, schema: str
) -> None:
    write(warehouse, schema, target(pipeline(schema), planned, Change("INSERT", 1, ("1", "a"))))
    planned.run("alter table account add column age smallint")
    assert compare(planned, warehouse, pipeline(schema)).differences == [
        Difference("add", "lake.account__versions", "column age smallint"),
        Difference("change", "lake.account", "view, to show age"),
    ]
    change = Change("INSERT", 2, ("1", "a", "7"))
    write(warehouse, schema, target(pipeline(schema), planned, change), batch_id=2)
    assert compare(planned, warehouse, pipeline(schema)) == Compared([], {})


def test_what_does_not_fit_is_in_the_way(planned: Planned, warehouse: Running, schema: str) -> None:
    write(warehouse, schema, target(pipeline(schema), planned, Change("INSERT", 1, ("1", "a"))))
    planned.run("alter table account alter id type text")
    [found] = compare(planned, warehouse, pipeline(schema)).differences
    assert (found.action, found.where) == ("blocked", "lake.account__versions")
    assert found.what.startswith("id is text at the source and integer in Redshift, which cannot hold it")


def test_a_table_of_somebody_else_is_in_the_way(planned: Planned, warehouse: Running, schema: str) -> None:
    with warehouse.connect(autocommit=True) as client:
        client.execute(f'create schema "{schema}"'.encode())
        client.execute(f'create table "{schema}".account (id integer)'.encode())
    found = [
        each for each in compare(planned, warehouse, pipeline(schema)).differences if each.action == "blocked"
    ]
    assert [each.where for each in found] == ["lake.account"]


def test_columns_that_are_one_name_for_redshift_are_in_the_way(
    planned: Planned, warehouse: Running, schema: str
) -> None:
    planned.run('alter table account add column "Name" text')
    found = [
        each for each in compare(planned, warehouse, pipeline(schema)).differences if each.action == "blocked"
    ]
    assert [each.where for each in found] == ["lake.account"]


def test_what_is_not_reached_is_said_and_shown_as_if_it_held_nothing(planned: Planned, schema: str) -> None:
    found = compare(planned, None, pipeline(schema))
    assert [each.where for each in found.differences] == ["lake.account__versions", "lake.account"]
    assert found.not_compared["lake"].startswith("no DSN for it; give --redshift DSN")
    nowhere = compare_databases(pipeline(schema), Reach({}, "postgresql://nobody@127.0.0.1:1/x"))
    assert nowhere.differences == []
    assert nowhere.not_compared["shop"].startswith("no DSN for it; give --source shop=DSN")
    assert "cannot connect to Redshift at 127.0.0.1:1/x" in nowhere.not_compared["lake"]
