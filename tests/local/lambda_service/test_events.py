"""Asynchronous events: retries, age, throttling and destinations."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from local.emulator import Emulator
from local.postgres import free_port
from tests.local.lambda_service.conftest import Start
from tests.local.lambda_service.running import Running, eventually, function

ARN = "arn:aws:lambda:eu-west-1:000000000000:function:"
FAST = {"retry_delays_s": (0.05, 0.1)}


@pytest.fixture
def start_with_destinations(start: Start, package: Path, state: Path) -> Start:
    """A service whose function tells two others how it went."""

    def start_both(service: dict[str, Any] | None = None, **settings: Any) -> Running:
        told = {"on_success": f"{ARN}pleased", "on_failure": f"{ARN}worried", **FAST, **settings}
        return start(
            function(package, state, **told),
            function(package, state, "pleased"),
            function(package, state, "worried"),
            service=service,
        )

    return start_both


def test_an_event_is_tried_three_times_with_one_request_id_and_then_given_up(
    start_with_destinations: Start,
) -> None:
    running = start_with_destinations()
    request_id = running.send({"do": "fail"})
    record = eventually(lambda: running.events("worried"))[0]
    assert [note["id"] for note in running.seen()] == [request_id] * 3
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.pop("timestamp"))
    assert record["responsePayload"].pop("stackTrace")
    assert record == {
        "version": "1.0",
        "requestContext": {
            "requestId": request_id,
            "functionArn": f"{ARN}function:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": {"do": "fail"},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {
            "errorMessage": "the function fails",
            "errorType": "ValueError",
            "requestId": request_id,
        },
    }
    counts = running.counts()
    assert (counts["errors"], counts["retries"], counts["dead"]) == (3, 2, 1)
    assert running.events("pleased") == []


def test_an_event_that_succeeds_is_told_with_its_response(start_with_destinations: Start) -> None:
    running = start_with_destinations()
    request_id = running.send({"n": 12345678901234567890, "t": "ü"})
    record = eventually(lambda: running.events("pleased"))[0]
    assert record.pop("timestamp")
    assert record == {
        "version": "1.0",
        "requestContext": {
            "requestId": request_id,
            "functionArn": f"{ARN}function:$LATEST",
            "condition": "Success",
            "approximateInvokeCount": 1,
        },
        "requestPayload": {"n": 12345678901234567890, "t": "ü"},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": {"n": 12345678901234567890, "t": "ü"},
    }
    assert running.events("worried") == []


def test_an_event_that_succeeds_at_its_second_attempt_is_a_success(start_with_destinations: Start) -> None:
    running = start_with_destinations()
    running.send({"do": "fail_once"})
    record = eventually(lambda: running.events("pleased"))[0]
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert running.counts()["dead"] == 0


def test_a_synchronous_invoke_is_neither_retried_nor_told(start_with_destinations: Start) -> None:
    running = start_with_destinations()
    running.call({"do": "fail"})
    running.call({"fine": 1})
    time.sleep(0.3)
    assert len(running.seen()) == 2
    assert running.events("worried") == running.events("pleased") == []


def test_retries_wait_as_long_as_configured(start: Start) -> None:
    running = start(retry_delays_s=(0.3, 0.6))
    began = time.monotonic()
    running.send({"do": "fail"})
    eventually(lambda: running.counts()["retries"] == 1)
    assert running.stats()["queued"] == 1
    eventually(lambda: running.counts()["dead"] == 1)
    assert 0.9 < time.monotonic() - began < 3


def test_a_function_without_retries_gives_an_event_up_at_once(start_with_destinations: Start) -> None:
    running = start_with_destinations(retries=0)
    running.send({"do": "exit", "code": 1})
    record = eventually(lambda: running.events("worried"))[0]
    assert record["requestContext"]["approximateInvokeCount"] == 1
    assert record["responsePayload"]["errorType"] == "Runtime.ExitError"


def test_throttled_events_wait_and_none_of_them_dies(start_with_destinations: Start) -> None:
    running = start_with_destinations(reserved_concurrency=2)
    for number in range(40):
        running.send({"do": "sleep", "seconds": 0.02, "number": number})
    eventually(lambda: running.counts()["successes"] == 40)
    assert sorted(event["number"] for event in running.events()) == list(range(40))
    counts = running.counts()
    assert counts["throttles"] > 0
    assert (counts["dead"], counts["errors"], counts["retries"]) == (0, 0, 0)
    assert running.stats()["environments"] == 2


def test_a_throttled_event_outlives_the_retries_of_many_failures(start_with_destinations: Start) -> None:
    running = start_with_destinations(reserved_concurrency=1, timeout_s=10)
    running.send({"do": "sleep", "seconds": 1})
    eventually(running.seen)
    running.send({"waits": "longer than all retries together"})
    eventually(lambda: len(running.events("pleased")) == 2)
    assert running.counts()["dead"] == 0


def test_an_event_that_grows_too_old_in_the_queue_is_given_up_without_a_response(
    start_with_destinations: Start,
) -> None:
    running = start_with_destinations(reserved_concurrency=1, timeout_s=10, max_event_age_s=0.5)
    running.send({"do": "sleep", "seconds": 1})
    eventually(running.seen)
    request_id = running.send({"too": "old"})
    record = eventually(lambda: running.events("worried"))[0]
    assert record["requestContext"] == {
        "requestId": request_id,
        "functionArn": f"{ARN}function:$LATEST",
        "condition": "EventAgeExceeded",
        "approximateInvokeCount": 0,
    }
    assert "responsePayload" not in record
    assert "responseContext" not in record
    assert record["requestPayload"] == {"too": "old"}
    eventually(lambda: running.events("pleased"))
    assert {"too": "old"} not in running.events()


def test_an_event_that_grows_too_old_between_retries_keeps_its_last_error(
    start_with_destinations: Start,
) -> None:
    running = start_with_destinations(retry_delays_s=(60,), max_event_age_s=0.3)
    running.send({"do": "fail"})
    record = eventually(lambda: running.events("worried"))[0]
    assert record["requestContext"]["condition"] == "EventAgeExceeded"
    assert record["requestContext"]["approximateInvokeCount"] == 1
    assert record["responsePayload"]["errorType"] == "ValueError"


def test_without_any_concurrency_events_go_to_the_failure_destination_at_once(
    start_with_destinations: Start,
) -> None:
    running = start_with_destinations(reserved_concurrency=0)
    running.send({"never": "runs"})
    record = eventually(lambda: running.events("worried"))[0]
    assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert running.seen() == []


def test_a_destination_record_over_one_megabyte_is_lost_logged_and_counted(
    start_with_destinations: Start,
) -> None:
    running = start_with_destinations()
    running.send({"do": "answer", "bytes": 1024 * 1024})
    eventually(lambda: running.counts()["destination_failures"] == 1)
    assert re.search(
        r"DESTINATION FAILED .*pleased: the record has \d+ bytes, more than 1048576", running.log()
    )
    assert running.events("pleased") == []


def test_an_event_that_the_service_cannot_run_is_no_error_of_the_function(
    start: Start, package: Path
) -> None:
    running = start(retries=0)
    package.rename(package.with_name("hidden"))
    running.send({"late": True})
    eventually(lambda: running.counts()["service_errors"] == 1)
    with pytest.raises(running.client.exceptions.ServiceException):
        running.call()
    package.with_name("hidden").rename(package)
    eventually(lambda: running.events() == [{"late": True}])
    counts = running.counts()
    assert (counts["errors"], counts["dead"]) == (0, 0)


def test_stopping_the_service_makes_no_dead_letters(start_with_destinations: Start) -> None:
    running = start_with_destinations(retries=0, timeout_s=30, reserved_concurrency=1)
    for _ in range(3):
        running.send({"do": "sleep", "seconds": 20})
    eventually(running.seen)
    running.stop()
    assert running.service.queues["function"].function.counts.dead == 0
    assert running.events("worried") == []


def messages(emulator: Emulator, queue: str) -> list[Any]:
    sqs = emulator.session.client("sqs", endpoint_url=emulator.url)
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(message["Body"]) for message in found]


def test_an_event_that_is_given_up_becomes_a_message_in_the_dead_letter_queue(
    start: Start, emulator: Emulator
) -> None:
    queue = emulator.create_queue("given-up")
    running = start(on_failure=queue, service={"aws_endpoint": emulator.url}, **FAST)
    running.send({"do": "fail"})
    record = eventually(lambda: messages(emulator, "given-up"))[0]
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestPayload"] == {"do": "fail"}
    assert running.counts()["destinations"] == 1


def test_a_dead_letter_queue_that_is_away_for_a_moment_gets_its_message(start: Start, tmp_path: Path) -> None:
    emulator = Emulator(tmp_path / "emulator", free_port())
    running = start(
        retries=0,
        on_failure="arn:aws:sqs:eu-west-1:000000000000:later",
        service={"aws_endpoint": emulator.url},
    )
    running.send({"do": "fail"})
    eventually(lambda: running.counts()["dead"] == 1)
    emulator.start()
    try:
        emulator.create_queue("later")
        eventually(lambda: messages(emulator, "later"))
        assert running.counts()["destination_failures"] == 0
    finally:
        emulator.stop()
