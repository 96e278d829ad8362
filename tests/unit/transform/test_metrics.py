"""The ledger's figures, of a real ledger, as lines that CloudWatch makes metrics of."""

import json

import psycopg
import pytest

from db_triggers.installer import Wake, install
from pgevents.config import Source, Table
from transform.metrics import Figures, measure, write
from transform.source.outbox import Outbox

SOURCE = Source(tables=(Table("public.account"),), doorbell="schedule")


@pytest.fixture
def connection(database: str) -> psycopg.Connection:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create table public.account (id bigint primary key, name text)")
        install(connection, "accounts", SOURCE, Wake("", ""))
        yield connection


def add(connection: psycopg.Connection, first: int, last: int) -> None:
    connection.execute("insert into public.account select generate_series(%s, %s::int), 'a'", (first, last))


def test_what_waits_and_what_was_applied_are_counted(connection: psycopg.Connection) -> None:
    add(connection, 1, 30)
    before = measure(connection, 60)
    assert (before.events_waiting, before.events_applied, before.commit_to_applied) == (30, 0, [])
    outbox = Outbox("accounts", connection)
    outbox.open_batches(1000)
    [batch] = outbox.open()
    outbox.mark_forwarded(batch)
    assert measure(connection, 60).oldest_waiting > 0
    outbox.mark_applied(batch.batch_id)
    add(connection, 31, 35)
    after = measure(connection, 60)
    assert (after.events_applied, after.events_waiting, after.dead_letters) == (30, 5, 0)
    assert len(after.commit_to_applied) == 1
    assert 0 < after.commit_to_applied[0] < 60_000
    assert after.outbox_bytes > 0


def test_batches_of_before_the_last_sweep_are_not_counted_again(connection: psycopg.Connection) -> None:
    add(connection, 1, 3)
    outbox = Outbox("accounts", connection)
    outbox.open_batches(1000)
    outbox.mark_applied(outbox.open()[0].batch_id)
    connection.execute("update pgevents.batch set applied_at = applied_at - interval '2 minutes'")
    figures = measure(connection, 60)
    assert (figures.events_applied, figures.commit_to_applied) == (0, [])


def line_of(figures: Figures, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    write("PgEvents/test", "accounts", figures)
    [line] = capsys.readouterr().out.splitlines()
    read: dict[str, object] = json.loads(line)
    return read


def test_a_line_is_in_the_embedded_metric_format(capsys: pytest.CaptureFixture[str]) -> None:
    line = line_of(Figures([12.5, 30.0], 7, 1, 0.5, 0, 4, 0, 8192), capsys)
    [directive] = line["_aws"]["CloudWatchMetrics"]  # type: ignore[index]
    assert (directive["Namespace"], directive["Dimensions"]) == ("PgEvents/test", [["Source"]])
    assert line["Source"] == "accounts"
    assert line["CommitToApplied"] == [12.5, 30.0]
    units = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
    assert units["CommitToApplied"] == "Milliseconds"
    assert units["EventsWaiting"] == "Count"
    assert all(name in line for name in units)


def test_a_metric_without_a_value_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    line = line_of(Figures([], 0, 0, 0.0, 0, 0, 0, 0), capsys)
    [directive] = line["_aws"]["CloudWatchMetrics"]  # type: ignore[index]
    assert "CommitToApplied" not in line
    assert "CommitToApplied" not in {metric["Name"] for metric in directive["Metrics"]}
    assert line["EventsApplied"] == 0
