"""Faults to order, on events and on calls."""

import threading
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.local.lambda_service.conftest import Start
from tests.local.lambda_service.running import Running, eventually, lambda_client


def send_numbers(running: Running, count: int) -> None:
    for number in range(count):
        running.send({"number": number})


def numbers(running: Running) -> list[int]:
    return [event["number"] for event in running.events()]


def test_a_dropped_event_is_accepted_and_never_delivered(start: Start) -> None:
    running = start()
    running.fault(kind="drop", count=1, contains='"number": 1')
    send_numbers(running, 3)
    eventually(lambda: running.counts()["successes"] == 2)
    assert sorted(numbers(running)) == [0, 2]
    assert running.counts()["dropped"] == 1
    assert running.stats()["queued"] == 0


def test_a_duplicated_event_is_delivered_twice_under_one_request_id(start: Start) -> None:
    running = start()
    running.fault(kind="duplicate", count=1)
    request_id = running.send({"number": 7})
    eventually(lambda: running.counts()["successes"] == 2)
    assert [note["id"] for note in running.seen()] == [request_id] * 2
    assert running.counts()["duplicated"] == 1


def test_a_delayed_event_is_overtaken(start: Start) -> None:
    running = start()
    running.fault(kind="delay", count=1, seconds=0.5)
    began = time.monotonic()
    send_numbers(running, 2)
    eventually(lambda: numbers(running) == [1, 0])
    assert time.monotonic() - began > 0.5


def test_a_reordered_event_is_delivered_after_the_one_that_follows_it(start: Start) -> None:
    running = start(reserved_concurrency=1)
    running.fault(kind="reorder", count=2, seconds=30)
    send_numbers(running, 4)
    eventually(lambda: numbers(running) == [2, 1, 0, 3])
    assert running.counts()["reordered"] == 2


def test_a_reordered_event_that_nothing_follows_is_delivered_in_time(start: Start) -> None:
    running = start()
    running.fault(kind="reorder", seconds=0.2)
    send_numbers(running, 1)
    assert running.stats()["queued"] == 1
    eventually(lambda: numbers(running) == [0])


def test_faults_by_chance_strike_the_same_events_in_every_run(start: Start) -> None:
    running = start(reserved_concurrency=1)
    rounds: list[set[int]] = []
    for _ in range(2):
        running.control("DELETE", "functions/function/faults")
        running.fault(kind="drop", probability=0.5, seed=42)
        before, sent = len(running.seen()), running.counts()["async"]
        send_numbers(running, 30)
        eventually(lambda: running.stats()["queued"] == running.stats()["busy"] == 0)
        assert running.counts()["async"] == sent + 30
        rounds.append(set(numbers(running)[before:]))
    assert rounds[0] == rounds[1]
    assert 5 < len(rounds[0]) < 25


def test_faults_are_listed_and_cleared(start: Start) -> None:
    running = start()
    running.fault(kind="drop", count=1)
    running.fault(kind="delay", seconds=0.1)
    send_numbers(running, 2)
    _, active = running.control("GET", "functions/function/faults")
    assert [(entry["fault"]["kind"], entry["struck"]) for entry in active] == [("drop", 1), ("delay", 1)]
    assert running.control("DELETE", "functions/function/faults") == (200, [])
    send_numbers(running, 1)
    eventually(lambda: running.counts()["successes"] == 2)
    assert running.counts()["delayed"] == 1


@pytest.mark.parametrize("kind", ["RequestResponse", "Event"])
def test_a_refused_call_gets_the_ordered_error_and_runs_nothing(start: Start, kind: str) -> None:
    running = start()
    running.fault(kind="refuse", count=1, status=503, error="ServiceUnavailableException")
    with pytest.raises(ClientError) as caught:
        running.call({"a": 1}, InvocationType=kind)
    answer: Any = caught.value.response
    assert answer["Error"]["Code"] == "ServiceUnavailableException"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert running.counts()["async"] == running.counts()["sync"] == 0
    assert running.ask({"a": 1}) == {"a": 1}


def test_a_hanging_call_is_answered_late(start: Start) -> None:
    running = start()
    running.fault(kind="hang", count=1, seconds=0.5)
    began = time.monotonic()
    assert running.ask({"a": 1}) == {"a": 1}
    assert time.monotonic() - began > 0.5


def test_a_hanging_call_whose_caller_hangs_up_is_never_delivered(start: Start) -> None:
    running = start()
    running.fault(kind="hang", count=1, seconds=1.0)
    client = lambda_client(running.service.url, read_timeout=0.2)
    with pytest.raises(ReadTimeoutError):
        client.invoke(FunctionName="function", Payload=b"{}", InvocationType="Event")
    client.close()
    time.sleep(1.1)
    assert running.counts()["async"] == 0


def test_the_service_stops_while_a_call_hangs(start: Start) -> None:
    running = start()
    running.fault(kind="hang", seconds=60)
    caller = threading.Thread(target=lambda: running.call({"a": 1}, InvocationType="DryRun"))
    caller.start()
    time.sleep(0.2)
    began = time.monotonic()
    running.stop()
    caller.join(5)
    assert time.monotonic() - began < 3
    assert not caller.is_alive()
