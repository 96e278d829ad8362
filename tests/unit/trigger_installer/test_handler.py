"""The custom resource against a real PostgreSQL: what a deployment does to a source."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgevents.errors import InputError, TransientError
from pgevents.settings import Connection, Connections
from trigger_installer.handler import answer
from trigger_installer.settings import InstallerSettings

ARN = "pgevents-test-transform"
TABLES = """
create table public.account (id bigint primary key, name text);
create table public.note (id bigint primary key, body text);
create table public.keyless (body text);
"""


def never(name: str) -> str:
    raise AssertionError(f"asked for the secret {name}")


@pytest.fixture
def source(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLES)
    return database


@pytest.fixture
def settings(source: str) -> InstallerSettings:
    return settings_for(source)


def settings_for(dsn: str, **changed: Any) -> InstallerSettings:
    info = psycopg.conninfo.conninfo_to_dict(dsn)
    connection = {
        "host": str(info["host"]),
        "port": int(info["port"]),
        "database": str(info["dbname"]),
        "user": str(info["user"]),
        "sslmode": "disable",
    }
    sources = {"accounts": Connection(**{**connection, **changed})}
    return InstallerSettings(Connections(sources), ARN, "eu-west-1")


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    return write(tmp_path / "pipeline.toml", "public.account")


def write(path: Path, *tables: str, doorbell: str = "schedule") -> Path:
    captured = "".join(f'[[sources.accounts.tables]]\ntable = "{table}"\n' for table in tables)
    routes = "".join(f'[[routes]]\ntable = "accounts.{table}"\nsinks = ["archive"]\n' for table in tables)
    path.write_text(
        f'[sources.accounts]\ndoorbell = "{doorbell}"\n{captured}[sinks.archive]\ntype = "s3"\n{routes}'
    )
    return path


def event(kind: str, remove: str = "false") -> dict[str, Any]:
    """An event as the provider framework passes it on, with the keys that are not looked at."""
    return {
        "RequestType": kind,
        "ServiceToken": "arn:aws:lambda:eu-west-1:000000000000:function:provider",
        "StackId": "arn:aws:cloudformation:eu-west-1:000000000000:stack/pgevents/1",
        "LogicalResourceId": "Triggers",
        "ResourceProperties": {
            "ServiceToken": "arn",
            "Source": "accounts",
            "Hash": "1",
            "RemoveOnDelete": remove,
        },
    }


def captured(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("select name from pgevents.captured_table where ended is null order by 1")
        return [row[0] for row in rows]


def test_a_create_installs_the_triggers_and_a_write_becomes_an_event(
    settings: InstallerSettings, pipeline: Path, source: str
) -> None:
    made = answer(event("Create"), settings, pipeline, never)
    assert made["PhysicalResourceId"] == "pgevents-triggers-accounts"
    assert made["Data"]["Captured"] == "public.account"
    with psycopg.connect(source) as connection:
        connection.execute("insert into public.account values (1, 'one')")
        connection.commit()
        waiting = connection.execute("select pgevents.unapplied_events(pg_current_snapshot())").fetchone()
        assert waiting == (1,)
        named = connection.execute("select source, function_name, region from pgevents.setting").fetchone()
        assert named == ("accounts", ARN, "eu-west-1")


def test_an_update_follows_pipeline_toml_and_keeps_the_identity(
    settings: InstallerSettings, pipeline: Path, source: str
) -> None:
    made = answer(event("Create"), settings, pipeline, never)
    write(pipeline, "public.note")
    changed = answer(event("Update"), settings, pipeline, never)
    assert changed["PhysicalResourceId"] == made["PhysicalResourceId"]
    assert changed["Data"] == {"Migrations": "", "Captured": "public.note", "Ended": "public.account"}
    assert captured(source) == ["public.note"]


def test_a_repeated_create_changes_nothing(settings: InstallerSettings, pipeline: Path) -> None:
    answer(event("Create"), settings, pipeline, never)
    again = answer(event("Create"), settings, pipeline, never)
    assert again["Data"] == {"Migrations": "", "Captured": "", "Ended": ""}


def test_a_delete_leaves_the_triggers_unless_told_to_remove_them(
    settings: InstallerSettings, pipeline: Path, source: str
) -> None:
    answer(event("Create"), settings, pipeline, never)
    assert answer(event("Delete"), settings, pipeline, never)["Data"] == {"Removed": "false"}
    assert captured(source) == ["public.account"]
    assert answer(event("Delete", remove="true"), settings, pipeline, never)["Data"] == {"Removed": "true"}
    with psycopg.connect(source) as connection:
        assert connection.execute("select to_regnamespace('pgevents')").fetchone() == (None,)
        connection.execute("insert into public.account values (1, 'one')")


def test_a_delete_of_a_source_that_is_known_no_more_succeeds(pipeline: Path) -> None:
    nobody = InstallerSettings(Connections({}), ARN, "eu-west-1")
    assert answer(event("Delete", remove="true"), nobody, pipeline, never)["Data"] == {"Removed": "false"}


def test_what_the_preflight_finds_is_the_error_and_nothing_is_installed(
    settings: InstallerSettings, pipeline: Path, source: str
) -> None:
    write(pipeline, "public.keyless", "public.missing")
    with pytest.raises(
        InputError, match=r"public\.keyless has no primary key.*public\.missing does not exist"
    ):
        answer(event("Create"), settings, pipeline, never)
    with psycopg.connect(source) as connection:
        assert connection.execute("select to_regnamespace('pgevents')").fetchone() == (None,)


def test_the_failing_statement_is_the_error(settings: InstallerSettings, pipeline: Path, source: str) -> None:
    with psycopg.connect(source) as connection:
        # Somebody else's object stands where the first migration makes its own.
        connection.execute("create schema pgevents")
        connection.execute("create view pgevents.setting as select 1 as one")
    with pytest.raises(InputError) as refused:
        answer(event("Create"), settings, pipeline, never)
    message = str(refused.value)
    assert message.startswith('accounts: relation "setting" already exists (42P07)')
    assert "statement: create table pgevents.setting" in message
    assert "\n" not in message
    assert len(message) < 1000


def test_a_doorbell_by_invoke_needs_the_extension_and_says_so(
    settings: InstallerSettings, pipeline: Path, source: str
) -> None:
    write(pipeline, "public.account", doorbell="invoke")
    with pytest.raises(InputError, match="create extension aws_lambda cascade"):
        answer(event("Create"), settings, pipeline, never)


def test_the_password_comes_from_the_secret(source: str, pipeline: Path) -> None:
    user = psycopg.conninfo.conninfo_to_dict(source)["user"]
    asked = []

    def read(name: str) -> str:
        asked.append(name)
        return json.dumps({"username": user, "password": "from the secret"})

    settings = settings_for(source, user="somebody", secret="arn:of:the:secret")
    assert answer(event("Create"), settings, pipeline, read)["Data"]["Captured"] == "public.account"
    assert asked == ["arn:of:the:secret"]


def test_a_database_that_does_not_answer_is_named_without_a_password(source: str, pipeline: Path) -> None:
    settings = settings_for(source, port=1, secret="arn")
    with pytest.raises(TransientError, match=r"cannot reach .*:1/") as refused:
        answer(event("Create"), settings, pipeline, lambda name: '{"username": "u", "password": "hidden"}')
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    "wrong", [{}, {"RequestType": "Create"}, {**event("Create"), "RequestType": "Other"}]
)
def test_an_event_of_another_kind_is_refused(
    wrong: dict[str, Any], settings: InstallerSettings, pipeline: Path
) -> None:
    with pytest.raises(InputError, match="no custom resource's"):
        answer(wrong, settings, pipeline, never)


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(InputError, match="PGEVENTS_CONNECTIONS is not set"):
        InstallerSettings.read({})
    with pytest.raises(InputError, match="PGEVENTS_TRANSFORM_FUNCTION is not set"):
        InstallerSettings.read({"PGEVENTS_CONNECTIONS": '{"sources": {}}'})
    with pytest.raises(InputError, match="PGEVENTS_CONNECTIONS: .*sources"):
        InstallerSettings.read({"PGEVENTS_CONNECTIONS": "{}"})


def test_an_answer_and_a_refusal_about_many_tables_fit_into_what_cloudformation_takes(
    settings: InstallerSettings, pipeline: Path, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"public.a_table_with_quite_a_long_name_{number}" for number in range(120)]
    write(pipeline, *names)
    with pytest.raises(InputError) as refused:
        answer(event("Create"), settings, pipeline, never)
    assert names[0] in str(refused.value)
    assert str(refused.value).endswith("the rest is in the function's log")
    assert len(str(refused.value).encode()) < 2_000
    assert names[-1] in capsys.readouterr().out
    with psycopg.connect(source, autocommit=True) as connection:
        connection.execute("; ".join(f"create table {name} (id int primary key)" for name in names).encode())
    made = answer(event("Create"), settings, pipeline, never)
    assert len(json.dumps(made).encode()) < 3_000
    assert captured(source) == sorted(names)
    assert names[-1] in capsys.readouterr().out
