"""The Lambda as it is called: events in, answers out, one line logged a batch."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.emulator import Emulator
from local.postgres import free_port
from local.redshift import Fault
from pgevents.batch import Batch, Change, Column, TableChanges, encode
from pgevents.errors import InputError, TerminalError, TransientError
from redshift_writer import handler
from tests.integration.redshift_writer.changes import account, delete, insert
from tests.integration.redshift_writer.conftest import Target

OPENED = "2026-01-01T00:00:00.000000+00:00"

PIPELINE = """
[sources.accounts]
tables = [{{ table = "public.account" }}]
[sinks.replica]
type = "postgres"
[sinks.warehouse]
type = "redshift"
schema = "{schema}"
[[routes]]
table = "accounts.public.account"
sinks = ["replica", "warehouse"]
[policies]
too_long = "null"
"""


@pytest.fixture
def environment(target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package folder with a pipeline.toml, and the variables that Lambda would set."""
    (tmp_path / "pipeline.toml").write_text(PIPELINE.format(schema=target.schema))
    settings = target.warehouse.settings
    connection = {
        "host": settings.host,
        "port": settings.port,
        "database": settings.database,
        "user": settings.user,
    }
    monkeypatch.setenv("PGEVENTS_REDSHIFT", json.dumps(connection | {"sslmode": "disable"}))
    monkeypatch.setenv("LAMBDA_TASK_ROOT", str(tmp_path))
    monkeypatch.setattr(handler, "_redshift_writer", None)
    yield tmp_path
    if handler._redshift_writer is not None:
        handler._redshift_writer._writer._sessions.drop()


def batch(number: int, *tables: Any) -> Batch:
    return Batch("accounts", number, 1, "2026-01-01T00:00:00+00:00", list(tables))


def event(of: Batch) -> dict[str, Any]:
    body = base64.b64encode(encode(of)).decode()
    return {
        "kind": "batch",
        "source": of.source,
        "batch_id": of.batch_id,
        "encoding": "zlib+base64",
        "body": body,
    }


def test_batch_in_the_event_is_applied_logged_and_answered(
    target: Target, environment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = datetime.now(UTC)
    answer = handler.handle(event(batch(7, account(insert(1, 1, "a"), delete(2, 2)))), None)
    applied_at = datetime.fromisoformat(answer.pop("applied_at"))
    assert before <= applied_at <= datetime.now(UTC)
    assert answer == {
        "kind": "applied",
        "source": "accounts",
        "batch_id": 7,
        "epoch": 1,
        "opened_at": OPENED,
        "newest": None,
        "counts": {"inserted": 1, "deleted": 1, "truncated": 0, "stale": 0, "recorded": 0},
    }
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert line["message"] == "applied"
    assert (line["source"], line["batch_id"], line["changes"]) == ("accounts", 7, {"account": 2})
    assert line["milliseconds"] > 0
    assert target.read("select id, name from {s}.account") == [(1, "a")]


def test_second_delivery_is_answered_with_the_first_time(target: Target, environment: Path) -> None:
    first = handler.handle(event(batch(1, account(insert(1, 1)))), None)
    second = handler.handle(event(batch(1, account(insert(1, 1)))), None)
    difference = datetime.fromisoformat(first["applied_at"]) - datetime.fromisoformat(second["applied_at"])
    assert 0 <= difference.total_seconds() < 5
    assert second["counts"]["inserted"] == 0


def test_only_tables_routed_to_redshift_are_written(target: Target, environment: Path) -> None:
    import msgspec

    elsewhere = msgspec.structs.replace(account(insert(1, 1)), target="elsewhere", sinks=("replica",))
    handler.handle(event(batch(1, account(insert(1, 1)), elsewhere)), None)
    assert target.look("select to_regclass('{s}.elsewhere'), to_regclass('{s}.account') is not null") == [
        (None, True)
    ]


def test_policies_of_the_pipeline_hold(target: Target, environment: Path) -> None:
    handler.handle(event(batch(1, account(insert(1, 1, "x" * 70_000)))), None)
    assert target.look("select name from {s}.account") == [(None,)]


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    emulator = Emulator(tmp_path / "aws", free_port())
    emulator.start()
    emulator.create_bucket("batches")
    for name, value in {
        "AWS_ENDPOINT_URL": emulator.url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    yield emulator
    emulator.stop()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_batch_in_s3_is_read_from_there(target: Target, environment: Path, bucket: Emulator) -> None:
    import boto3

    s3 = boto3.client("s3")
    s3.put_object(Bucket="batches", Key="a/b", Body=encode(batch(3, account(insert(1, 1, "from S3")))))
    pointer = {
        "kind": "batch",
        "source": "accounts",
        "batch_id": 3,
        "encoding": "s3",
        "bucket": "batches",
        "key": "a/b",
    }
    assert handler.handle(pointer, None)["counts"]["inserted"] == 1
    assert target.read("select name from {s}.account") == [("from S3",)]
    with pytest.raises(TransientError, match="s3://batches/missing"):
        handler.handle({**pointer, "key": "missing"}, None)
    s3.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"kind": "sweep"},
        {"kind": "batch", "source": "a", "batch_id": "x", "encoding": "s3"},
        {"kind": "batch", "source": "a", "batch_id": 1, "encoding": "gzip", "body": ""},
        {"kind": "batch", "source": "a", "batch_id": 1, "encoding": "zlib+base64", "body": "%%%"},
    ],
)
def test_event_that_is_no_batch_is_refused(environment: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="event is no batch|not base64"):
        handler.handle(wrong, None)


def test_what_the_server_refuses_is_an_answer_with_the_identity_of_the_batch(
    target: Target, environment: Path
) -> None:
    target.warehouse.control.arm(Fault("refuse_value", match="^insert.*poison", count=None))
    answer = handler.handle(event(batch(4, account(insert(1, 1, "a"), insert(2, 2, "poison")))), None)
    [named] = answer.pop("refused")
    assert (named["version"], "account (id=2)" in named["reason"]) == (2, True)
    assert answer == {
        "kind": "refused", "source": "accounts", "batch_id": 4, "epoch": 1, "opened_at": OPENED
    }  # fmt: skip


def test_answer_with_refusals_fits_beside_the_batch_however_long_the_keys_are(
    target: Target, environment: Path
) -> None:
    target.warehouse.control.arm(Fault("refuse_value", match="^insert.*poison", count=None))
    table = TableChanges(
        "wide",
        "mirror",
        ("warehouse",),
        ("id",),
        (Column("id", "text"),),
        [Change("INSERT", n, (f"poison {n} " + "x" * 50_000,)) for n in range(1, 90)]
        + [Change("INSERT", 100, ("fine",))],
    )
    answer = handler.handle(event(batch(4, table)), None)
    assert 1 < len(answer["refused"]) < 90
    assert len(json.dumps(answer)) < 70_000


def test_refusal_of_no_single_change_is_an_answer_too(target: Target, environment: Path) -> None:
    target.warehouse.control.arm(Fault("refuse_value", match="^commit", count=None))
    answer = handler.handle(event(batch(4, account(insert(1, 1, "a")))), None)
    assert "No single change is why" in answer.pop("error")
    assert answer == {
        "kind": "failed", "source": "accounts", "batch_id": 4, "epoch": 1, "opened_at": OPENED
    }  # fmt: skip


def test_other_batch_under_the_same_number_is_answered_and_not_applied(
    target: Target, environment: Path
) -> None:
    import msgspec

    handler.handle(event(batch(4, account(insert(1, 1, "lost")))), None)
    other = msgspec.structs.replace(
        batch(4, account(insert(2, 1, "restored"))), opened_at="2026-01-02T00:00:00+00:00"
    )
    assert handler.handle(event(other), None) == {
        "kind": "replaced",
        "source": "accounts",
        "batch_id": 4,
        "epoch": 1,
        "opened_at": "2026-01-02T00:00:00.000000+00:00",
        "found": {"batch_id": 4, "epoch": 1, "opened_at": OPENED},
    }
    assert target.read("select id, name from {s}.account") == [(1, "lost")]


def test_answer_tells_the_newest_batch_that_was_there(target: Target, environment: Path) -> None:
    for number in (3, 9, 5):
        newest = handler.handle(event(batch(number, account(insert(1, 1, "a")))), None)["newest"]
    assert newest == {"batch_id": 9, "epoch": 1, "opened_at": OPENED}


def test_purge_goes_to_the_targets_of_its_source(target: Target, environment: Path) -> None:
    handler.handle(event(batch(4, account(insert(1, 1, "a"), delete(2, 2), delete(9, 3)))), None)
    asked = {"kind": "purge", "source": "certificates", "below": 9}
    assert handler.handle(asked, None)["tombstones"] == 0
    assert handler.handle({**asked, "source": "accounts"}, None) == {
        "kind": "purged", "source": "accounts", "tokens": 0, "tombstones": 1
    }  # fmt: skip
    with pytest.raises(InputError, match="event is no batch"):
        handler.handle({"kind": "purge", "source": "accounts"}, None)


def test_body_that_is_no_batch_is_a_terminal_error(environment: Path) -> None:
    broken = event(batch(1)) | {"body": base64.b64encode(b"no zlib").decode()}
    with pytest.raises(TerminalError, match="not an encoded batch"):
        handler.handle(broken, None)


def test_pipeline_without_redshift_is_refused(environment: Path) -> None:
    text = (
        PIPELINE.format(schema="public")
        .replace('type = "redshift"', 'type = "s3"')
        .replace('schema = "public"', "")
    )
    (environment / "pipeline.toml").write_text(text)
    with pytest.raises(InputError, match="no sink of type redshift"):
        handler.handle(event(batch(1)), None)


def test_environment_without_the_connection_is_refused(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGEVENTS_REDSHIFT")
    with pytest.raises(InputError, match="PGEVENTS_REDSHIFT is not set"):
        handler.handle(event(batch(1)), None)
