"""Forwarding to a function that runs: the event arrives, and so does the record that Lambda makes of it."""

import base64
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local import packages
from local.emulator import Emulator
from local.lambda_service import ServiceConfiguration
from pgevents.batch import Batch, decode, encode
from pgevents.errors import TransientError
from tests.integration.transform.sinks.batches import batch, insert, table
from tests.local.lambda_service.running import Running, eventually, function, write_package
from transform.sinks.forward import INLINE_LIMIT, Forwarded, Forwarder

PROJECT = Path(__file__).parents[4]

# Answers as the writer does, or fails with as much to say as a long way down the stack has.
WRITER = """
import json, os

def handle(event, context):
    with open(os.environ["SEEN"], "a") as seen:
        seen.write(json.dumps({"event": event}) + "\\n")
    if os.environ.get("FAILS"):
        raise RuntimeError("x" * 5_000)
    answer = {"kind": "applied", "applied_at": "2026-11-22T15:04:05Z"}
    return answer | {name: event.get(name) for name in ("source", "batch_id")}
"""

Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path, emulator: Emulator) -> Iterator[Start]:
    """Starts a service with `writer`, whose successes go to `transform` and whose failures go to a queue."""
    package = write_package(tmp_path / "a package", WRITER)
    started: list[Running] = []

    def start(**settings: Any) -> Running:
        arn = "arn:aws:lambda:eu-west-1:000000000000:function:transform"
        queue = emulator.create_queue(f"dead-{tmp_path.name}")
        writer = function(
            package, tmp_path, "writer", retries=0, on_success=arn, on_failure=queue, **settings
        )
        configuration = ServiceConfiguration(
            state=str(tmp_path),
            runtime=str(packages.runtime(PROJECT)),
            functions=(writer, function(package, tmp_path, "transform")),
            aws_endpoint=emulator.url,
        )
        started.append(Running(configuration))
        return started[-1]

    yield start
    for running in started:
        running.stop()


def incompressible(size: int) -> Batch:
    """A batch whose encoded form has about this many bytes for each two that it has."""
    noise = random.Random(size).randbytes(size).hex()
    return batch(table([insert(1, "1", noise)]), batch_id=7, epoch=2)


def just_within(limit: int) -> Batch:
    """A batch whose event comes to within a thousand bytes below the limit."""
    size = limit * 3 // 5
    while not limit - 1000 < len(base64.b64encode(encode(incompressible(size)))) + 90 <= limit:
        overshoot = len(base64.b64encode(encode(incompressible(size)))) + 90 - (limit - 500)
        size -= overshoot * 3 // 5 or 1
    return incompressible(size)


def events(running: Running, name: str) -> list[Any]:
    """The events that a function noted, without one that it is still writing down."""
    notes = running.state / f"{name}.seen"
    lines = notes.read_text().split("\n")[:-1] if notes.exists() else []
    return [json.loads(line)["event"] for line in lines]


def test_small_batch_travels_in_the_event(start: Start, s3: Any, bucket: str) -> None:
    running = start()
    one = batch(table([insert(1, "1", 'é😀"\\'), insert(2, "2", None)]), batch_id=7)

    forwarded = Forwarder(running.client, s3, "writer", bucket).forward(one)

    event = eventually(lambda: events(running, "writer"))[0]
    assert {name: event[name] for name in ("kind", "source", "batch_id", "encoding")} == {
        "kind": "batch", "source": "accounts", "batch_id": 7, "encoding": "zlib+base64",
    }  # fmt: skip
    assert decode(base64.b64decode(event["body"])) == one
    assert forwarded == Forwarded("zlib+base64", len(encode(one)))
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_large_batch_lies_in_s3_and_the_event_says_where(start: Start, s3: Any, bucket: str) -> None:
    running = start()
    one = incompressible(INLINE_LIMIT)

    forwarded = Forwarder(running.client, s3, "writer", bucket).forward(one)

    event = eventually(lambda: events(running, "writer"))[0]
    key = "forwarded/accounts/2-7-20261122T150405000000Z.json.z"
    assert event == {
        "kind": "batch", "source": "accounts", "batch_id": 7, "encoding": "s3", "bucket": bucket, "key": key,
    }  # fmt: skip
    assert decode(s3.get_object(Bucket=bucket, Key=key)["Body"].read()) == one
    assert forwarded == Forwarded("s3", len(encode(one)), key)


def test_batch_forwarded_again_has_the_same_place(start: Start, s3: Any, bucket: str) -> None:
    running = start()
    forwarder = Forwarder(running.client, s3, "writer", bucket, inline_limit=500)
    one = incompressible(2000)
    assert forwarder.forward(one) == forwarder.forward(one)
    eventually(lambda: len(events(running, "writer")) == 2)
    first, second = events(running, "writer")
    assert first == second
    assert len(s3.list_objects_v2(Bucket=bucket)["Contents"]) == 1


def test_record_of_the_largest_event_reaches_the_function_that_notes_successes(
    start: Start, s3: Any, bucket: str
) -> None:
    running = start()
    one = just_within(INLINE_LIMIT)

    assert Forwarder(running.client, s3, "writer", bucket).forward(one).encoding == "zlib+base64"

    record = eventually(lambda: events(running, "transform"))[0]
    assert record["responsePayload"]["batch_id"] == 7
    assert len(json.dumps(record, separators=(",", ":"))) < 1_000_000


def test_record_of_the_largest_event_that_failed_reaches_the_dead_letters(
    start: Start, s3: Any, bucket: str, emulator: Emulator, tmp_path: Path
) -> None:
    running = start(environment={"FAILS": "yes"})
    one = just_within(INLINE_LIMIT)

    Forwarder(running.client, s3, "writer", bucket).forward(one)

    sqs = emulator.session.client("sqs", endpoint_url=emulator.url)
    queue = sqs.get_queue_url(QueueName=f"dead-{tmp_path.name}")["QueueUrl"]
    letter = eventually(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))[0]["Body"]
    sqs.close()
    assert len(letter) < 1_000_000
    record = json.loads(letter)
    assert decode(base64.b64decode(record["requestPayload"]["body"])) == one
    assert record["responsePayload"]["errorType"] == "RuntimeError"


def test_function_that_is_not_there_is_named(start: Start, s3: Any, bucket: str) -> None:
    with pytest.raises(TransientError, match="could not invoke nobody: ResourceNotFoundException.*deploy"):
        Forwarder(start().client, s3, "nobody", bucket).forward(incompressible(10))


def test_service_that_is_gone_is_a_failure_that_may_pass(start: Start, s3: Any, bucket: str) -> None:
    running = start()
    forwarder = Forwarder(running.client, s3, "writer", bucket)
    running.stop()
    with pytest.raises(TransientError, match="could not invoke writer"):
        forwarder.forward(incompressible(10))
