"""Forwarding when AWS does not take it. What it does when all is well is tried on the real services."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Thread
from typing import Any

import boto3
import msgspec
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from pgevents.batch import Batch, Change, Column, TableChanges
from pgevents.errors import TransientError
from transform.sinks.forward import Forwarder, forwarded_key
from transform.sinks.s3 import S3Sink

SESSION = boto3.Session("key", "secret", region_name="eu-west-1")
TABLE = TableChanges(
    "account", "mirror", ("warehouse",), ("id",), (Column("id", "bigint"),), [Change("INSERT", 1, ("1",))]
)
BATCH = Batch("accounts", 7, 2, "2026-11-22T15:04:05Z", [TABLE])


@pytest.fixture
def function() -> Iterator[Stubber]:
    with Stubber(SESSION.client("lambda")) as stubbed:
        yield stubbed


@pytest.fixture
def store() -> Iterator[Stubber]:
    with Stubber(SESSION.client("s3")) as stubbed:
        yield stubbed


def forwarder(function: Stubber, store: Stubber, inline_limit: int = 1000) -> Forwarder:
    return Forwarder(function.client, store.client, "writer", "events", inline_limit)


def answer(status: int) -> dict[str, Any]:
    return {"StatusCode": status, "Payload": StreamingBody(BytesIO(b""), 0)}


@pytest.mark.parametrize(
    ("code", "status", "advice"),
    [
        ("TooManyRequestsException", 429, ""),
        ("ServiceException", 500, ""),
        ("AccessDeniedException", 403, "grant it to the function's role"),
        ("ResourceNotFoundException", 404, "the function does not exist: deploy"),
        ("RequestEntityTooLargeException", 413, "lower the limit"),
    ],
)
def test_refused_invocation_may_be_tried_again(
    function: Stubber, store: Stubber, code: str, status: int, advice: str
) -> None:
    function.add_client_error("invoke", code, "not now", status)
    with pytest.raises(TransientError, match=f"could not invoke writer: {code}: not now.*{advice}"):
        forwarder(function, store).forward(BATCH)


def test_any_answer_but_202_is_a_failure(function: Stubber, store: Stubber) -> None:
    function.add_response("invoke", answer(200))
    with pytest.raises(TransientError, match="it answered 200, not 202"):
        forwarder(function, store).forward(BATCH)


def test_nothing_is_invoked_when_the_object_could_not_be_written(function: Stubber, store: Stubber) -> None:
    store.add_client_error("put_object", "SlowDown", "reduce your request rate", 503)
    with pytest.raises(
        TransientError,
        match="could not write s3://events/forwarded/accounts/2-7-20261122T150405000000Z.json.z",
    ):
        forwarder(function, store, inline_limit=10).forward(BATCH)
    function.assert_no_pending_responses()


def test_service_out_of_reach_is_a_failure_that_may_pass() -> None:
    class Unreachable:
        def invoke(self, **_: Any) -> Any:
            raise EndpointConnectionError(endpoint_url="https://lambda.local")

    with pytest.raises(TransientError, match="could not invoke writer: Could not connect"):
        Forwarder(Unreachable(), Unreachable(), "writer", "events").forward(BATCH)  # type: ignore[arg-type]


def test_one_connection_serves_every_batch() -> None:
    clients = set()

    class Lambda(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            clients.add(self.client_address)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Lambda) as server:
        Thread(target=server.serve_forever).start()
        client = SESSION.client("lambda", endpoint_url=f"http://127.0.0.1:{server.server_port}")
        for _ in range(3):
            Forwarder(client, SESSION.client("s3"), "writer", "events").forward(BATCH)
        client.close()
        server.shutdown()
    assert len(clients) == 1


def test_key_of_a_forwarded_batch_is_its_own_and_always_the_same() -> None:
    assert forwarded_key(BATCH) == "forwarded/accounts/2-7-20261122T150405000000Z.json.z"


def test_restored_source_writes_beside_the_batches_that_it_has_forgotten() -> None:
    after = msgspec.structs.replace(BATCH, opened_at="2026-11-22T15:04:05.000001Z")
    assert forwarded_key(after) != forwarded_key(BATCH)


def test_purge_is_queued_as_an_event(function: Stubber, store: Stubber) -> None:
    event = {"kind": "purge", "source": "accounts", "below": 2**48 + 7}
    function.add_response(
        "invoke", answer(202),
        {"FunctionName": "writer", "InvocationType": "Event", "Payload": msgspec.json.encode(event)},
    )  # fmt: skip
    forwarder(function, store).purge("accounts", 2**48 + 7)
    function.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("AccessDenied", "grant it to the function's role"),
        ("NoSuchBucket", "the bucket does not exist: deploy"),
        ("SlowDown", ""),
        ("InternalError", ""),
    ],
)
def test_archive_that_cannot_be_written_makes_no_dead_letters(store: Stubber, code: str, advice: str) -> None:
    store.add_client_error("put_object", code, "no")
    with pytest.raises(TransientError, match=f"could not write s3://events/a/account/.*{code}: no.*{advice}"):
        S3Sink(store.client, "events", "a").write(BATCH)
