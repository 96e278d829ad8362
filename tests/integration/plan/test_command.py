"""`./pgevents plan prod` against the project's own local databases: everything first, nothing once it is applied."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from db_triggers.installer import Wake, install
from local import aws_extensions
from local.postgres import PostgresServer
from ops.cdk import PROJECT
from ops.plan.captures import captured_columns
from ops.plan.targets import redshift_targets
from pgevents.batch import Batch, Change, TableChanges
from pgevents.config import Policies, load
from redshift_writer.connect import Sessions
from redshift_writer.writer import Writer
from tests.local.redshift.stand_in import Running, running

PIPELINE = load(PROJECT / "pipeline.toml")
WAKE = Wake("pgevents-prod-transform", "eu-west-1")
ROOTS = os.pathsep.join(str(PROJECT / root) for root in (".", "lambdas", "lambdas/core"))


@pytest.fixture
def sources(postgres_server: PostgresServer) -> Iterator[dict[str, str]]:
    """The databases of pipeline.toml with the tables that they have on a laptop, by name."""
    made = {name: f"planned_{name}" for name in PIPELINE.sources}
    for name, database in made.items():
        postgres_server.create_database(database)
        with psycopg.connect(postgres_server.dsn(database), autocommit=True) as connection:
            connection.execute((PROJECT / "local" / "databases" / f"{name}.sql").read_bytes())
            aws_extensions.install(connection, "http://127.0.0.1:9")
    yield {name: postgres_server.dsn(database) for name, database in made.items()}
    for database in made.values():
        postgres_server.drop_database(database)


@pytest.fixture
def warehouse(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    postgres_server.create_database("planned_lake")
    upstream = postgres_server.dsn("planned_lake")
    with running(tmp_path_factory.mktemp("a lake"), upstream) as stand_in:
        yield stand_in


def plan(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [sys.executable, "-m", "ops.cli", "plan", *arguments],
        env={**environment, "PYTHONPATH": ROOTS},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )


def emptied(sources: dict[str, str]) -> list[TableChanges]:
    """A TRUNCATE of every target, which makes its tables and needs no row."""
    shapes = {}
    for name, source in PIPELINE.sources.items():
        with psycopg.connect(sources[name]) as connection:
            for table in source.tables:
                if (shape := captured_columns(connection, table)) is not None:
                    shapes[f"{name}.{table.table}"] = shape
    targets, _ = redshift_targets(PIPELINE, shapes)
    change = Change("DELETE", 1, None)
    return [TableChanges(t.target, t.mode, t.sinks, t.key, t.columns, [change]) for t in targets]


def test_everything_is_to_be_done_and_nothing_after_it_was(
    sources: dict[str, str], warehouse: Running
) -> None:
    given = [f"--source={name}={dsn}" for name, dsn in sources.items()]
    asked = ["prod", *given, "--redshift", warehouse.dsn, "--load", "100", "--json"]
    before = plan(*asked)
    assert (before.returncode, before.stderr) == (3, "")
    found: dict[str, Any] = json.loads(before.stdout)
    added = {each["where"] for each in found["differences"] if each["action"] == "add"}
    tables = {f"{name}.{table.table}" for name, source in PIPELINE.sources.items() for table in source.tables}
    targets = {"account", "account__versions", "account_history", "certificate", "certificate__versions"}
    assert tables | {f"warehouse.{target}" for target in targets} <= added
    assert found["not_compared"] == {}
    roles = {role["name"]: role for role in found["roles"]}
    assert {"pipeline/TransformRole", "pipeline/WriterRole", "warehouse/CopyRole"} <= roles.keys()
    assert found["bill"]["load"] == 100
    assert found["bill"]["usd"]["pipeline"] > 0

    for name, source in PIPELINE.sources.items():
        with psycopg.connect(sources[name], autocommit=True) as connection:
            install(connection, name, source, WAKE, PIPELINE.routes)
    sessions = Sessions(warehouse.settings, lambda _: "")
    with closing(sessions.get().wire):
        writer = Writer(sessions, "public", Policies(), lambda _: None)
        writer.apply(Batch("accounts", 1, 1, "2026-01-01T00:00:00+00:00", emptied(sources)))
    after = plan(*asked)
    assert json.loads(after.stdout)["differences"] == []
    assert (after.returncode, after.stderr) == (0, "")


def test_what_is_in_the_way_is_told_by_the_exit_code(sources: dict[str, str]) -> None:
    with psycopg.connect(sources["accounts"], autocommit=True) as connection:
        connection.execute("alter table account drop constraint account_pkey")
    done = plan("prod", f"--source=accounts={sources['accounts']}")
    assert done.returncode == 1
    assert "  ! accounts: sources.accounts.tables[0]: public.account has no primary key" in done.stdout
    assert "Not compared\n  certificates: no DSN for it" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "there is no environment 'nowhere'"),
        (["prod", "--load", "-1"], "--load -1: expected events a second"),
        (["prod", "--source", "accounts"], "--source accounts: expected NAME=DSN"),
        (["prod", "--source", "ghost=x"], "NAME one of accounts, certificates"),
        (["prod", "--state", "/nowhere"], "nothing runs with the state folder /nowhere"),
    ],
)
def test_wrong_input_is_one_line(arguments: list[str], words: str) -> None:
    done = plan(*arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert words in done.stderr
