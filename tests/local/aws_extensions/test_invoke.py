"""aws_lambda.invoke really calls the Invoke API, and fails as the extension does."""

import base64
import json
import socket
import statistics
import time
from typing import Any

import psycopg
import pytest
from psycopg import errors

from local.aws_extensions import Fault, inject, install, uninstall
from pgevents.errors import InputError

from .conftest import InvokeApi

Connection = psycopg.Connection[Any]
INVOKE = "select * from aws_lambda.invoke(%s, %s::json, invocation_type => %s)"


def test_event_hands_over_name_type_and_payload(connection: Connection, invoke_api: InvokeApi) -> None:
    row = connection.execute(INVOKE, ["transform", '{"kind": "doorbell"}', "Event"]).fetchone()
    assert row == (202, None, None, None)
    [request] = invoke_api.requests
    assert request.path == "/2015-03-31/functions/transform/invocations"
    assert request.headers["x-amz-invocation-type"] == "Event"
    assert request.body == b'{"kind": "doorbell"}'


def test_request_response_returns_payload_version_and_log(
    connection: Connection, invoke_api: InvokeApi
) -> None:
    log = base64.b64encode(b"START\nEND\n").decode()
    headers = {"X-Amz-Executed-Version": "$LATEST", "X-Amz-Log-Result": log}
    invoke_api.answer = lambda request: (200, headers, '{"ü": "a\\tb"}'.encode())
    row = connection.execute(
        """select * from aws_lambda.invoke(
           aws_commons.create_lambda_function_arn('f', 'eu-west-1'), '{"a": 1}'::jsonb, 'RequestResponse',
           'Tail', '{"custom": {"k": "v"}}'::jsonb, 'live')"""
    ).fetchone()
    assert row == (200, {"ü": "a\tb"}, "$LATEST", log)
    [request] = invoke_api.requests
    assert request.path == "/2015-03-31/functions/f/invocations?Qualifier=live"
    assert request.headers["x-amz-log-type"] == "Tail"
    assert json.loads(base64.b64decode(request.headers["x-amz-client-context"])) == {"custom": {"k": "v"}}


@pytest.mark.parametrize(
    "payload",
    [
        "'; touch /tmp/owned; '",
        "$(touch /tmp/owned) `id` | & > \\ \\N \\. %s",
        "line\nbreak\ttab\rreturn \u0001 \U0001f600",
        "x" * 1_000_000,
    ],
    ids=["quotes", "shell", "control", "one megabyte"],
)
def test_any_payload_arrives_unchanged(connection: Connection, invoke_api: InvokeApi, payload: str) -> None:
    connection.execute(INVOKE, ["f", json.dumps(payload), "Event"])
    assert invoke_api.payloads() == [payload]


def test_a_function_name_cannot_leave_its_place_in_the_request(
    connection: Connection, invoke_api: InvokeApi
) -> None:
    name = "f/../x HTTP/1.1\r\nX-Amz-Invocation-Type: DryRun\r\n'; id"
    connection.execute(INVOKE, [name, "{}", "Event"])
    [request] = invoke_api.requests
    assert request.path == f"/2015-03-31/functions/{name}/invocations"
    assert request.headers["x-amz-invocation-type"] == "Event"


def test_rings_at_commit_in_an_application_role(
    connection: Connection, database: str, invoke_api: InvokeApi
) -> None:
    ring_at_commit(connection)
    with psycopg.connect(database) as application:
        application.execute("set role application")
        application.execute("insert into public.change values (1), (2)")
        assert invoke_api.requests == []
        application.commit()
        assert invoke_api.payloads() == [{"i": 1}, {"i": 2}]
        application.execute("insert into public.change values (3)")
        application.rollback()
    assert len(invoke_api.requests) == 2


def test_rings_at_prepare_transaction_and_leaves_nothing_temporary(
    connection: Connection, database: str, invoke_api: InvokeApi
) -> None:
    ring_at_commit(connection)
    with psycopg.connect(database, autocommit=True) as application:
        application.execute("begin; set role application; insert into public.change values (1)")
        application.execute("prepare transaction 'p'")
        assert invoke_api.payloads() == [{"i": 1}]
        application.execute("reset role")
        application.execute("commit prepared 'p'")
    assert connection.execute("select count(*) from public.change").fetchone() == (1,)
    temporary = "select count(*) from pg_class where relpersistence = 't'"
    assert connection.execute(temporary).fetchone() == (0,)


def ring_at_commit(connection: Connection) -> None:
    """A table whose deferred trigger invokes, and a role that may only write to it."""
    connection.execute(
        """create table public.change (i int);
           create function public.ring() returns trigger language plpgsql security definer as
           $$ begin perform aws_lambda.invoke('transform', json_build_object('i', new.i), null, 'Event');
              return null; end $$;
           create constraint trigger ring after insert on public.change deferrable initially deferred
           for each row execute function public.ring();
           do $$ begin create role application; exception when duplicate_object then null; end $$;
           grant insert on public.change to application;
           grant application to current_user"""
    )


def test_an_unhandled_error_of_the_function_raises(connection: Connection, invoke_api: InvokeApi) -> None:
    body = b'{"errorMessage": "boom"}'
    invoke_api.answer = lambda request: (200, {"X-Amz-Function-Error": "Unhandled"}, body)
    with pytest.raises(errors.ExternalRoutineException, match="lambda invocation failed") as raised:
        connection.execute(INVOKE, ["f", "{}", "RequestResponse"])
    assert raised.value.diag.message_detail == (
        '"f" returned error "Unhandled", details: "{"errorMessage": "boom"}".'
    )


def test_a_refusal_of_the_service_raises_its_words(connection: Connection, invoke_api: InvokeApi) -> None:
    body = b'{"Type": "User", "Message": "Function not found: f"}'
    invoke_api.answer = lambda request: (404, {}, body)
    with pytest.raises(errors.ExternalRoutineInvocationException, match="invoke API failed") as raised:
        connection.execute(INVOKE, ["f", "{}", "Event"])
    assert raised.value.diag.message_detail == "AWS Lambda client returned 'Function not found: f'."


def test_a_service_that_is_gone_raises_unable_to_connect(connection: Connection) -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        install(connection, f"http://127.0.0.1:{nobody_listens.getsockname()[1]}")
        with pytest.raises(errors.ExternalRoutineInvocationException) as raised:
            connection.execute(INVOKE, ["f", "{}", "Event"])
    assert raised.value.diag.message_detail == "AWS Lambda client returned 'Unable to connect to endpoint'."


def test_a_service_that_hangs_costs_the_request_timeout(connection: Connection) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        install(connection, f"http://127.0.0.1:{silent.getsockname()[1]}")
        connection.execute("set aws_lambda.request_timeout_ms = 300")
        started = time.monotonic()
        with pytest.raises(errors.ExternalRoutineInvocationException) as raised:
            connection.execute(INVOKE, ["f", "{}", "Event"])
    assert raised.value.diag.message_detail == "AWS Lambda client returned 'Timeout was reached'."
    assert 0.3 <= time.monotonic() - started < 2.0


@pytest.mark.parametrize("given", ["0", "900001", "soon"])
def test_a_timeout_outside_of_what_rds_allows_is_refused(connection: Connection, given: str) -> None:
    connection.execute("select set_config('aws_lambda.connect_timeout_ms', %s, false)", [given])
    with pytest.raises(errors.InvalidParameterValue, match="aws_lambda.connect_timeout_ms"):
        connection.execute(INVOKE, ["f", "{}", "Event"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("'f', '{}'::json, null, 'event'", "invocation_type"),
        ("'f', '{}'::json, null, 'Event', 'tail'", "log_type"),
        ("'arn:aws:lambda:eu-west-1:1:function:f', '{}'::json, 'eu-west-2'", "region"),
        ("'arn:aws:lambda:eu-west-1:1:function:f:1', '{}'::json, qualifier => '2'", "qualifier"),
        ("null::text, '{}'::json", "null"),
    ],
)
def test_arguments_that_rds_refuses_never_reach_the_service(
    connection: Connection, invoke_api: InvokeApi, arguments: str, words: str
) -> None:
    with pytest.raises(psycopg.DataError, match=words):
        connection.execute(f"select aws_lambda.invoke({arguments})")
    assert invoke_api.requests == []


@pytest.mark.parametrize(
    ("fault", "raises", "least_seconds"),
    [
        ("error", errors.ExternalRoutineInvocationException, 0.0),
        ("hang", errors.ExternalRoutineInvocationException, 0.2),
        ("missing", errors.UndefinedFunction, 0.0),
    ],
)
def test_an_injected_fault_fails_every_invoke_until_it_is_taken_away(
    connection: Connection, invoke_api: InvokeApi, fault: Fault, raises: type[Exception], least_seconds: float
) -> None:
    connection.execute("set aws_lambda.request_timeout_ms = 200")
    inject(connection, fault)
    started = time.monotonic()
    with pytest.raises(raises):
        connection.execute(INVOKE, ["f", "{}", "Event"])
    assert time.monotonic() - started >= least_seconds
    assert invoke_api.requests == []
    inject(connection, None)
    connection.execute(INVOKE, ["f", "{}", "Event"])
    assert len(invoke_api.requests) == 1


def test_installing_again_keeps_what_depends_on_it_and_takes_the_new_url(
    connection: Connection, invoke_api: InvokeApi
) -> None:
    connection.execute("create table public.target (arn aws_commons._lambda_function_arn_1)")
    install(connection, "http://127.0.0.1:9")
    install(connection, invoke_api.url)
    connection.execute(INVOKE, ["f", "{}", "Event"])
    assert len(invoke_api.requests) == 1


def test_uninstalling_leaves_no_schema(connection: Connection) -> None:
    uninstall(connection)
    assert connection.execute("select nspname from pg_namespace where nspname like 'aws%%'").fetchall() == []


def test_a_url_that_is_no_local_service_is_refused(connection: Connection) -> None:
    with pytest.raises(InputError, match=r"expected http://HOST:PORT"):
        install(connection, "https://lambda.eu-west-1.amazonaws.com")


def test_one_invoke_costs_a_commit_far_less_than_its_timeout(connection: Connection) -> None:
    """About 20 ms on a quiet machine."""
    costs = []
    for _ in range(10):
        started = time.monotonic()
        connection.execute(INVOKE, ["f", '{"kind": "doorbell"}', "Event"])
        costs.append(time.monotonic() - started)
    median = statistics.median(costs)
    print(f"\naws_lambda.invoke: median {median * 1000:.1f} ms, worst {max(costs) * 1000:.1f} ms")
    assert median < 0.5
