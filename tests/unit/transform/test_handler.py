"""The transform Lambda's entry point, over real databases: its answer to each event, and what it refuses."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from db_triggers.installer import Wake, install
from local.postgres import PostgresServer, free_port
from pgevents.config import Source, Table
from pgevents.errors import InputError, TransientError
from transform import handler
from transform.delivery import Drained

SOURCES = {
    "accounts": """
[sources.accounts]
doorbell = "schedule"
[[sources.accounts.tables]]
table = "public.account"
""",
    "certificates": """
[sources.certificates]
doorbell = "schedule"
[[sources.certificates.tables]]
table = "public.certificate"
""",
}
ROUTES = """
[sinks.replica]
type = "postgres"
[[routes]]
table = "accounts.public.account"
sinks = ["replica"]
columns = { legal_name = "text", legal_form = "text", slug = "text", country = "text" }
[[routes]]
table = "certificates.public.certificate"
sinks = ["replica"]
"""
ACCOUNT = """
create table account (
    account_id bigint primary key, operator_id text, organisation text, distinguished_name text
)
"""
INSERT = "insert into account values (1, 'x', 'GlobalSign nv-sa', 'O=GlobalSign nv-sa,C=BE')"


class Context:
    """Lambda's context with so many seconds left."""

    def __init__(self, seconds: float = 60.0) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self._seconds * 1000)


def connection(dsn: str) -> dict[str, object]:
    at = conninfo_to_dict(dsn)
    return {"host": at["host"], "port": int(str(at["port"])), "database": at["dbname"], "user": at["user"]}


@pytest.fixture
def replica(postgres_server: PostgresServer) -> str:
    name = f"replica_{uuid4().hex}"
    postgres_server.create_database(name)
    return postgres_server.dsn(name)


@pytest.fixture
def app(database: str) -> Iterator[psycopg.Connection]:
    """The application's connection to the source accounts, with capture installed."""
    with closing(psycopg.connect(database, autocommit=True)) as app:
        app.execute(ACCOUNT)
        install(
            app, "accounts", Source((Table("public.account"),), "schedule"), Wake("transform", "eu-west-1")
        )
        yield app


@pytest.fixture(autouse=True)
def environment(
    app: psycopg.Connection, database: str, replica: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, dict[str, dict[str, object]]]]:
    """The Lambda's task root and environment. Nothing listens where the source certificates should be."""
    (tmp_path / "pipeline.toml").write_text("".join(SOURCES.values()) + ROUTES)
    gone = {**connection(database), "port": free_port()}
    connections = {
        "sources": {"accounts": connection(database), "certificates": gone},
        "sinks": {"replica": connection(replica)},
    }
    values = {
        "LAMBDA_TASK_ROOT": str(tmp_path),
        "PGEVENTS_BUCKET": "bucket",
        "PGEVENTS_WRITER_FUNCTION": "writer",
        "PGEVENTS_CONNECTIONS": json.dumps(connections),
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(handler, "_transform", None)
    yield connections
    if handler._transform is not None:
        for opened in handler._transform._connections._open.values():
            opened.close()


def rows(dsn: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as opened:
        return list(opened.execute(query))


def test_doorbell_drains_its_source_through_the_transform_into_the_sink(
    app: psycopg.Connection, replica: str
) -> None:
    app.execute(INSERT)
    assert handler.handle({"kind": "doorbell", "source": "accounts"}, Context()) == {
        "kind": "doorbell",
        "drained": {"accounts": {"batches": 1, "events": 1, "dead": 0, "dropped": 0, "held": 0}},
    }
    assert rows(replica, "select account_id, legal_name, country from account") == [(1, "GlobalSign", "BE")]


def test_warm_invocation_goes_on_with_what_is_new(app: psycopg.Connection, replica: str) -> None:
    for number in (1, 2):
        app.execute("update account set organisation = 'Atos'" if number == 2 else INSERT)
        handler.handle({"kind": "doorbell", "source": "accounts"}, Context())
    assert rows(replica, "select organisation from account") == [("Atos",)]


def in_shards(tmp_path: Path, shards: int) -> None:
    in_two = SOURCES["accounts"].replace("[sources.accounts]", f"[sources.accounts]\nshards = {shards}")
    limits = "[drain]\nbatch_events = 100\n"
    (tmp_path / "pipeline.toml").write_text(in_two + SOURCES["certificates"] + ROUTES + limits)


def test_invocation_for_a_shard_drains_that_alone(
    app: psycopg.Connection, replica: str, tmp_path: Path
) -> None:
    in_shards(tmp_path, 2)
    app.execute("insert into account select g, 'x', 'Atos', 'O=Atos' from generate_series(1, 400) as g")
    app.execute("select pgevents.open_batches(100, 1000000, 2)")
    [(events,)] = app.execute("select sum(events) from pgevents.batch where shard = 1")
    answer = handler.handle({"kind": "shard", "source": "accounts", "shard": 1}, Context())
    assert answer["drained"]["accounts"]["events"] == events
    assert rows(replica, "select count(*) from account") == [(events,)]
    assert list(app.execute("select distinct shard from pgevents.batch where state = 'open'")) == [(0,)]


def test_process_whose_clock_is_ahead_ends_and_leaves_the_event_to_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        handler.handle({"kind": "doorbell", "source": "accounts"}, Context(seconds=-3_540))
    assert "this process's clock is wrong" in capsys.readouterr().out


@pytest.mark.parametrize("shard", [0, -1, "1", None])
def test_what_is_no_other_shard_is_refused(shard: object) -> None:
    with pytest.raises(InputError, match="event of no known kind"):
        handler.handle({"kind": "shard", "source": "accounts", "shard": shard}, Context())


def test_shards_that_cannot_be_woken_are_drained_by_the_doorbell_s_invocation(
    app: psycopg.Connection,
    replica: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    in_shards(tmp_path, 3)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "pgevents-transform")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    app.execute("insert into account select g, 'x', 'Atos', 'O=Atos' from generate_series(1, 400) as g")
    answer = handler.handle({"kind": "doorbell", "source": "accounts"}, Context())
    assert answer["drained"]["accounts"]["events"] == 400
    assert rows(replica, "select count(*) from account") == [(400,)]
    assert "could not invoke pgevents-transform" in capsys.readouterr().out


def test_sweep_of_one_source_leaves_the_others_alone(app: psycopg.Connection) -> None:
    app.execute(INSERT)
    answer = handler.handle({"kind": "sweep", "source": "accounts"}, Context())
    assert answer["drained"]["accounts"]["batches"] == 1


@pytest.mark.parametrize("order", [("accounts", "certificates"), ("certificates", "accounts")])
def test_source_that_is_gone_does_not_keep_the_others_from_being_swept(
    app: psycopg.Connection, replica: str, tmp_path: Path, order: tuple[str, str]
) -> None:
    (tmp_path / "pipeline.toml").write_text("".join(SOURCES[name] for name in order) + ROUTES)
    app.execute(INSERT)
    with pytest.raises(TransientError, match="cannot reach"):
        handler.handle({"kind": "sweep"}, Context())
    assert rows(replica, "select account_id from account") == [(1,)]


def test_sweep_gives_every_source_its_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    handler.handle({"kind": "sweep", "source": "accounts"}, Context())
    shares: list[tuple[str, float]] = []
    assert handler._transform is not None

    def drain(source: str, context: object, overdue: float | None = None, share: float = 1.0) -> Drained:
        shares.append((source, share))
        return Drained()

    monkeypatch.setattr(handler._transform, "drain", drain)
    handler.handle({"kind": "sweep"}, Context())
    assert shares == [("accounts", 0.5), ("certificates", 1.0)]


def test_drain_whose_share_of_the_time_is_spent_begins_nothing(app: psycopg.Connection) -> None:
    app.execute(INSERT)
    handler.handle({"kind": "sweep", "source": "accounts"}, Context(seconds=5))
    assert handler._transform is not None
    assert handler._transform.drain("accounts", Context(), share=0.0).batches == 0
    assert handler._transform.drain("accounts", Context(), share=0.5).batches == 1


def test_drain_without_time_leaves_everything_for_the_next(app: psycopg.Connection) -> None:
    app.execute(INSERT)
    answer = handler.handle({"kind": "doorbell", "source": "accounts"}, Context(seconds=5))
    assert answer["drained"]["accounts"]["batches"] == 0
    answer = handler.handle({"kind": "doorbell", "source": "accounts"}, Context())
    assert answer["drained"]["accounts"]["batches"] == 1


def applied(batch_id: int = 1, **changed: object) -> dict[str, object]:
    """Lambda's record of a successful invocation of the writer."""
    answer = {
        "kind": "applied",
        "source": "accounts",
        "batch_id": batch_id,
        "applied_at": "2026-11-22T16:00:00+00:00",
    }
    return {
        "version": "1.0",
        "timestamp": "2026-11-22T16:00:01.000Z",
        "requestContext": {"condition": "Success", "approximateInvokeCount": 1},
        "requestPayload": {"kind": "batch", "source": "accounts", "batch_id": batch_id},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": {**answer, "counts": {}, **changed},
    }


def test_applied_batch_is_noted_with_its_time_and_only_once(app: psycopg.Connection, database: str) -> None:
    app.execute(INSERT)
    app.execute("select pgevents.open_batches(10)")
    app.execute("update pgevents.batch set state = 'forwarded', forwarded_at = clock_timestamp()")
    assert handler.handle(applied(), Context()) == {"kind": "noted", "batch_id": 1, "first": True}
    assert handler.handle(applied(), Context()) == {"kind": "noted", "batch_id": 1, "first": False}
    ledger = "select state, applied_at = '2026-11-22 16:00:00+00' from pgevents.batch"
    assert rows(database, ledger) == [("applied", True)]


def test_invocation_that_acknowledges_drains_nothing(app: psycopg.Connection, database: str) -> None:
    app.execute(INSERT)
    app.execute("select pgevents.open_batches(10)")
    app.execute("update account set organisation = 'Atos'")
    handler.handle(applied(), Context())
    assert rows(database, "select pgevents.has_events(), count(*) from pgevents.batch") == [(True, 1)]


def test_batch_that_the_writer_could_not_apply_is_noted_with_the_reason(
    app: psycopg.Connection, database: str
) -> None:
    app.execute(INSERT)
    app.execute("select pgevents.open_batches(10)")
    app.execute("update pgevents.batch set state = 'forwarded', forwarded_at = now()")
    answer = {"kind": "failed", "source": "accounts", "batch_id": 1, "error": "no single change is why"}
    assert handler.handle({"responsePayload": answer}, Context())["failed"]
    assert rows(database, "select state, last_error like '%single change%' from pgevents.batch") == [
        ("forwarded", True)
    ]


def test_batch_that_the_source_has_lost_is_only_noted(app: psycopg.Connection, database: str) -> None:
    app.execute(INSERT)
    app.execute("select pgevents.open_batches(10)")
    found = {"epoch": 1, "batch_id": 1, "opened_at": "2026-01-01T00:00:00+00:00"}
    answer = {"kind": "replaced", "source": "accounts", "batch_id": 1, "found": found}
    assert "1 of epoch 1" in handler.handle({"responsePayload": answer}, Context())["lost"]
    assert rows(database, "select epoch, batch_id from pgevents.lost_batch") == [(1, 1)]
    assert rows(database, "select epoch from pgevents.setting") == [(1,)]
    handler.handle({"kind": "doorbell", "source": "accounts"}, Context())
    assert rows(database, "select epoch from pgevents.setting") == [(2,)]


def test_answer_about_a_purge_needs_nothing() -> None:
    answer = {"kind": "purged", "source": "accounts", "tokens": 1, "tombstones": 0}
    assert handler.handle({"responsePayload": answer}, Context()) == {"kind": "noted"}


def test_sweep_lets_old_tokens_and_tombstones_go_once_a_day(
    app: psycopg.Connection, database: str, replica: str
) -> None:
    sweep = {"kind": "sweep", "source": "accounts"}
    app.execute(INSERT)
    handler.handle(sweep, Context())
    app.execute("delete from account")
    handler.handle(sweep, Context())
    app.execute(INSERT)
    handler.handle(sweep, Context())
    kept = "select (select count(*) from account_tombstone), (select count(*) from pgevents_applied_batch)"
    with closing(psycopg.connect(replica, autocommit=True)) as target:
        target.execute("update account_tombstone set _deleted_at = now() - interval '31 days'")
        target.execute("update pgevents_applied_batch set applied_at = now() - interval '8 days'")
    handler.handle(sweep, Context())
    assert rows(replica, kept) == [(1, 3)]
    for _ in range(2):
        app.execute("update pgevents.horizon set noted_at = noted_at - interval '31 days'")
        handler.handle(sweep, Context())
    assert rows(replica, kept) == [(0, 1)]


REFUSED = {
    "doorbell of an unknown source": (
        {"kind": "doorbell", "source": "acounts"},
        "source 'acounts' is not in pipeline.toml; expected one of accounts, certificates",
    ),
    "sweep of an unknown source": (
        {"kind": "sweep", "source": "x"},
        "source 'x' is not in pipeline.toml; expected one of accounts, certificates",
    ),
    "applied batch of an unknown source": (
        applied(source="x"),
        "source 'x' is not in pipeline.toml; expected one of accounts, certificates",
    ),
    "applied batch without its number": (
        {"responsePayload": {"kind": "applied", "source": "accounts", "applied_at": "2026-11-22T16:00:00Z"}},
        "the writer's answer is not as the writer makes it: Object missing required field `batch_id`",
    ),
    "doorbell without a source": ({"kind": "doorbell"}, "event of no known kind: {'kind': 'doorbell'}"),
    "another kind": ({"kind": "ring"}, "event of no known kind: {'kind': 'ring'}"),
    "failure of the writer": (
        {"responsePayload": {"errorType": "TerminalError"}},
        "event of no known kind: {'responsePayload': {'errorType': 'TerminalError'}}",
    ),
    "no object": ([], "event of no known kind: []"),
    "nothing": ({}, "event of no known kind: {}"),
}


@pytest.mark.parametrize(("event", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_event_that_cannot_be_understood_is_refused(event: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        handler.handle(event, Context())
    assert str(caught.value) == message


@pytest.mark.parametrize(("kind", "name"), [("source", "accounts"), ("sink", "replica")])
def test_missing_connection_is_named(
    environment: dict[str, dict[str, dict[str, object]]],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    name: str,
) -> None:
    del environment[f"{kind}s"][name]
    monkeypatch.setenv("PGEVENTS_CONNECTIONS", json.dumps(environment))
    with pytest.raises(InputError) as caught:
        handler.handle({"kind": "doorbell", "source": "accounts"}, Context())
    assert (
        str(caught.value)
        == f"PGEVENTS_CONNECTIONS has no connection for {kind} {name!r}; add it under {kind}s"
    )


def test_database_that_cannot_be_reached_is_worth_another_try() -> None:
    with pytest.raises(TransientError, match="cannot reach"):
        handler.handle({"kind": "doorbell", "source": "certificates"}, Context())


def test_sink_that_is_gone_gets_what_is_held_for_it_when_it_is_back(
    app: psycopg.Connection,
    database: str,
    replica: str,
    environment: dict[str, dict[str, dict[str, object]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    present = environment["sinks"]["replica"]
    environment["sinks"]["replica"] = {**present, "port": free_port()}
    monkeypatch.setenv("PGEVENTS_CONNECTIONS", json.dumps(environment))
    app.execute(INSERT)
    with pytest.raises(TransientError, match="cannot reach"):
        handler.handle({"kind": "doorbell", "source": "accounts"}, Context())
    assert rows(database, "select state, held_for from pgevents.batch") == [("held", ["replica"])]
    environment["sinks"]["replica"] = present
    monkeypatch.setenv("PGEVENTS_CONNECTIONS", json.dumps(environment))
    assert handler._transform is not None
    for opened in handler._transform._connections._open.values():
        opened.close()
    monkeypatch.setattr(handler, "_transform", None)
    handler.handle({"kind": "doorbell", "source": "accounts"}, Context())
    assert rows(replica, "select account_id from account") == [(1,)]
    assert rows(database, "select state from pgevents.batch") == [("applied",)]


def test_a_sweep_writes_the_ledgers_figures_before_it_drains(
    app: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(handler, "_METRICS_NAMESPACE", "PgEvents/test")
    app.execute(INSERT)
    handler.handle({"kind": "sweep", "source": "accounts"}, Context())
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [figures] = [line for line in lines if line["message"] == "ledger"]
    assert (figures["Source"], figures["EventsWaiting"]) == ("accounts", 1)
