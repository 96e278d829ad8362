"""The Invoke API, called by boto3."""

import base64
import json
import socket
import threading
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.lambda_service.conftest import Start
from tests.local.lambda_service.running import Running, eventually, function

MEBIBYTE = 1024 * 1024
ARN = "arn:aws:lambda:eu-west-1:000000000000:function:function"


def refused(running: Running, payload: Any = None, **options: Any) -> tuple[int, str, dict[str, Any]]:
    """Status, error code and body of a call that must be refused."""
    with pytest.raises(ClientError) as caught:
        running.call(payload, **options)
    answer: Any = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer


def text_of(size: int) -> str:
    """A text that is as many bytes long as JSON."""
    return "x" * (size - 2)


def test_a_synchronous_invoke_returns_what_the_handler_returns(start: Start) -> None:
    running = start()
    answer = running.call({"ünï": ["çödé", 1.5, None]})
    assert answer["StatusCode"] == 200
    assert answer["Payload"] == {"ünï": ["çödé", 1.5, None]}
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer
    assert answer["ResponseMetadata"]["RequestId"]


def test_an_invoke_without_a_payload_gives_the_function_an_empty_object(start: Start) -> None:
    assert start().ask() == {}


@pytest.mark.parametrize(
    "name", ["function", "function:$LATEST", "000000000000:function:function", ARN, f"{ARN}:$LATEST"]
)
def test_a_function_is_found_by_every_form_of_its_name(start: Start, name: str) -> None:
    assert start().call({"do": "context"}, name)["Payload"]["arn"] == ARN


def test_a_function_that_does_not_exist_is_not_found(start: Start) -> None:
    running = start()
    elsewhere = ARN.replace("eu-west-1", "us-east-1")
    for name, options in [
        ("other", {}),
        (elsewhere, {}),
        ("function", {"Qualifier": "7"}),
        (f"{ARN}:prod", {}),
    ]:
        status, code, answer = refused(running, function=name, **options)
        assert (status, code) == (404, "ResourceNotFoundException")
        assert "Function not found: arn:aws:lambda:" in answer["Error"]["Message"]


@pytest.mark.parametrize("body", [b"{", b"NaN", b"'text'", b'"\xff"', b"{} {}"])
def test_a_payload_that_is_not_json_is_refused(start: Start, body: bytes) -> None:
    running = start()
    for kind in ("RequestResponse", "Event"):
        with pytest.raises(ClientError) as caught:
            running.client.invoke(FunctionName="function", Payload=body, InvocationType=kind)
        answer: Any = caught.value.response
        assert answer["Error"]["Code"] == "InvalidRequestContentException"
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert running.counts()["async"] == 0


def test_an_unknown_invocation_type_is_refused(start: Start) -> None:
    status, code, _ = refused(start(), InvocationType="Later")
    assert (status, code) == (400, "InvalidParameterValueException")


def test_a_synchronous_payload_has_at_most_six_megabytes(start: Start) -> None:
    running = start()
    assert len(running.ask(text_of(6 * MEBIBYTE))) == 6 * MEBIBYTE - 2
    status, code, _ = refused(running, text_of(6 * MEBIBYTE + 1))
    assert (status, code) == (413, "RequestTooLargeException")


def test_an_asynchronous_payload_has_at_most_one_megabyte(start: Start) -> None:
    running = start()
    running.send(text_of(MEBIBYTE))
    status, code, answer = refused(running, text_of(MEBIBYTE + 1), InvocationType="Event")
    assert (status, code) == (413, "RequestTooLargeException")
    assert "1048577 byte payload is too large for the Event invocation type" in answer["Error"]["Message"]
    eventually(lambda: len(running.events()) == 1)


def test_a_response_over_six_megabytes_is_an_error_of_the_function(start: Start) -> None:
    running = start(timeout_s=20)
    assert len(running.ask({"do": "answer", "bytes": 6 * MEBIBYTE})) == 6 * MEBIBYTE
    answer = running.call({"do": "answer", "bytes": 6 * MEBIBYTE + 100})
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"]["errorType"] == "Function.ResponseSizeTooLarge"
    assert "(6291556 bytes)" in answer["Payload"]["errorMessage"]
    assert running.ask({"after": "it"}) == {"after": "it"}


def test_a_dry_run_checks_the_call_and_runs_nothing(start: Start) -> None:
    running = start()
    assert running.call({"a": 1}, InvocationType="DryRun")["StatusCode"] == 204
    assert refused(running, function="other", InvocationType="DryRun")[0] == 404
    assert running.counts()["cold_starts"] == 0


def test_an_asynchronous_invoke_answers_at_once_with_the_request_id_that_the_function_sees(
    start: Start,
) -> None:
    running = start(timeout_s=10)
    began = time.monotonic()
    request_id = running.send({"do": "sleep", "seconds": 2})
    assert time.monotonic() - began < 1.8
    assert eventually(running.seen)[0]["id"] == request_id


def test_an_exception_is_reported_with_its_type_message_and_trace(start: Start) -> None:
    answer = start().call({"do": "fail"})
    assert answer["StatusCode"] == 200
    assert answer["FunctionError"] == "Unhandled"
    error = answer["Payload"]
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "the function fails")
    assert "app.py" in error["stackTrace"][-1]
    assert error["requestId"] == answer["ResponseMetadata"]["RequestId"]


def test_the_log_tail_holds_the_last_four_kilobytes_of_this_invocation_only(start: Start) -> None:
    running = start()
    running.call({"do": "print", "text": "of another invocation"})
    answer = running.call({"do": "print", "text": "of this one"}, LogType="Tail")
    lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert lines[0] == f"START RequestId: {request_id} Version: $LATEST"
    assert lines[1:3] == ["of this one", f"END RequestId: {request_id}"]
    assert lines[3].startswith(f"REPORT RequestId: {request_id}\tDuration: ")
    long = running.call({"do": "print", "text": "y" * 10_000}, LogType="Tail")
    assert len(base64.b64decode(long["LogResult"])) == 4096
    assert "LogResult" not in running.call()


def test_the_client_context_reaches_the_function(start: Start) -> None:
    running = start()
    context = base64.b64encode(json.dumps({"custom": {"who": "me"}}).encode()).decode()
    assert running.call({"do": "context"}, ClientContext=context)["Payload"]["custom"] == {"who": "me"}
    assert refused(running, ClientContext="%%%")[1] == "InvalidRequestContentException"


def test_the_function_knows_its_limits(start: Start) -> None:
    known = start(timeout_s=5, memory_mb=256).ask({"do": "context"})
    assert 4000 < known["left"] <= 5000
    assert known["memory"] == "256"


def test_a_synchronous_invoke_over_the_reserved_concurrency_is_throttled(start: Start) -> None:
    running = start(timeout_s=10, reserved_concurrency=1)
    running.send({"do": "sleep", "seconds": 0.7})
    eventually(running.seen)
    status, code, answer = refused(running, {"do": "pid"})
    assert (status, code) == (429, "TooManyRequestsException")
    assert answer["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    eventually(lambda: running.stats()["busy"] == 0)
    assert running.ask({"do": "pid"})
    assert running.counts()["throttles"] == 1


def test_functions_without_a_reservation_share_what_the_others_leave(
    start: Start, package: Any, state: Any
) -> None:

    running = start(
        function(package, state, "reserved", reserved_concurrency=1),
        function(package, state, "one", timeout_s=10),
        function(package, state, "two", timeout_s=10),
        service={"account_concurrency": 2},
    )
    running.send({"do": "sleep", "seconds": 0.7}, "one")
    eventually(lambda: running.seen("one"))
    status, _, answer = refused(running, {"do": "pid"}, function="two")
    assert (status, answer["Reason"]) == (429, "ConcurrentInvocationLimitExceeded")
    assert running.ask({"do": "pid"}, "reserved")
    eventually(lambda: running.stats("one")["busy"] == 0)
    assert running.ask({"do": "pid"}, "two")


def test_calls_at_the_same_time_run_in_environments_of_their_own(start: Start) -> None:
    running = start(timeout_s=10)
    pids: list[int] = []
    threads = [
        threading.Thread(target=lambda: pids.append(running.ask({"do": "pid", "seconds": 0.5})))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(pids)) == 3


def test_the_service_listens_on_the_loopback_interface_only(start: Start) -> None:
    running = start()
    port = int(running.service.url.rpartition(":")[2])
    with socket.socket() as other:
        other.settimeout(2)
        # 127.0.0.2 is this machine as well: a server on every interface would answer there.
        assert other.connect_ex(("127.0.0.2", port)) != 0
