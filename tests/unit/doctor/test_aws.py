"""The Lambdas and the bucket, asked through the real boto3 of a small AWS that answers as it is told."""

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from botocore.config import Config

from ops.doctor.aws import Functions, aws_findings
from ops.doctor.finding import Finding, exit_code, graded, ok, warning

FUNCTIONS = Functions("pgevents-prod-transform", "pgevents-prod-redshift-writer")
WRITERS = 32
BUCKET = "the-bucket"
QUEUE, TRANSFORM = "arn:aws:sqs:eu-west-1:1:dead", "arn:aws:lambda:eu-west-1:1:function:transform"


class SmallAws:
    """Answers by path; what is not there is a 404."""

    def __init__(self) -> None:
        self.url = ""
        variables = {"PGEVENTS_CONNECTIONS": "{}", "PGEVENTS_BUCKET": BUCKET, "PGEVENTS_WRITER_FUNCTION": "w"}
        self.transform: dict[str, Any] = {
            "State": "Active",
            "LastUpdateStatus": "Successful",
            "Runtime": "python3.14",
            "MemorySize": 1024,
            "Timeout": 300,
            "Environment": {"Variables": variables},
        }
        self.writer = {
            **self.transform,
            "Environment": {
                "Variables": {
                    "PGEVENTS_REDSHIFT": "{}",
                    "PGEVENTS_BUCKET": BUCKET,
                    "PGEVENTS_COPY_ROLE": "arn:aws:iam::1:role/copy",
                }
            },
        }
        failure = {"OnFailure": {"Destination": QUEUE}}
        after = {"OnSuccess": {"Destination": TRANSFORM}, **failure}
        self.answers: dict[str, Any] = {
            f"/2015-03-31/functions/{FUNCTIONS.transform}/configuration": self.transform,
            f"/2015-03-31/functions/{FUNCTIONS.writer}/configuration": self.writer,
            f"/2019-09-25/functions/{FUNCTIONS.transform}/event-invoke-config": {
                "DestinationConfig": failure
            },
            f"/2019-09-25/functions/{FUNCTIONS.writer}/event-invoke-config": {"DestinationConfig": after},
            f"/2019-09-30/functions/{FUNCTIONS.writer}/concurrency": {
                "ReservedConcurrentExecutions": WRITERS
            },
            f"/{BUCKET}": "",
            f"/{BUCKET}?publicAccessBlock": PUBLIC.format("true"),
        }

    def forget(self, part: str) -> None:
        self.answers = {path: answer for path, answer in self.answers.items() if part not in path}

    def findings(self) -> list[Finding]:
        client = partial(
            boto3.client,
            endpoint_url=self.url,
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(retries={"total_max_attempts": 1}),
        )
        return [*aws_findings(FUNCTIONS, WRITERS, "eu-west-1", client)]

    def ills(self) -> list[str]:
        found = self.findings()
        assert all(each.do for each in found if each.level != "ok")
        return [f"{each.level} {each.where}: {each.what}" for each in found if each.level != "ok"]


PUBLIC = (
    "<PublicAccessBlockConfiguration><BlockPublicAcls>{0}</BlockPublicAcls><IgnorePublicAcls>{0}</IgnorePublicAcls>"
    "<BlockPublicPolicy>{0}</BlockPublicPolicy><RestrictPublicBuckets>{0}</RestrictPublicBuckets>"
    "</PublicAccessBlockConfiguration>"
)


@pytest.fixture
def aws() -> Iterator[SmallAws]:
    small = SmallAws()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = small.answers.get(self.path)
            status = 404 if answer is None else 200
            missing = "<Error><Code>NoSuchPublicAccessBlockConfiguration</Code></Error>"
            is_s3 = self.path.startswith(f"/{BUCKET}")
            body = missing if is_s3 and answer is None else answer if is_s3 else json.dumps(answer or {})
            self.send_response(status)
            if status == 404 and not is_s3:
                self.send_header("x-amzn-ErrorType", "ResourceNotFoundException")
            content = b"" if self.command == "HEAD" else str(body).encode()
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        small.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield small
        finally:
            server.shutdown()
            thread.join()


def test_a_deployment_that_is_well_has_no_ills(aws: SmallAws) -> None:
    assert [each.what for each in aws.findings()] == [
        "is ready: python3.14, 1024 MB, 300 s",
        "has its destinations OnFailure",
        "is there, and closed to the public",
        "is ready: python3.14, 1024 MB, 300 s",
        "has its destinations OnSuccess and OnFailure",
        "runs up to 32 at a time",
    ]
    assert aws.ills() == []


def test_a_writer_that_has_no_role_for_copy_is_slow(aws: SmallAws) -> None:
    del aws.writer["Environment"]["Variables"]["PGEVENTS_COPY_ROLE"]
    assert aws.ills() == [
        f"warning {FUNCTIONS.writer}: lacks PGEVENTS_COPY_ROLE: "
        "large batches go to Redshift without COPY, slowly"
    ]


def test_functions_that_are_not_there_are_errors(aws: SmallAws) -> None:
    aws.forget("/configuration")
    assert aws.ills() == [
        f"error {name}: there is no such function in this account and region"
        for name in (FUNCTIONS.transform, FUNCTIONS.writer)
    ]


def test_a_function_that_could_not_be_updated_is_an_error_with_its_reason(aws: SmallAws) -> None:
    aws.transform |= {
        "LastUpdateStatus": "Failed",
        "LastUpdateStatusReason": "no addresses left in the subnet",
    }
    assert aws.ills() == [
        f"error {FUNCTIONS.transform}: is Active, its last update Failed: no addresses left in the subnet"
    ]


def test_a_variable_that_is_missing_is_an_error(aws: SmallAws) -> None:
    del aws.transform["Environment"]["Variables"]["PGEVENTS_WRITER_FUNCTION"]
    assert aws.ills() == [
        f"error {FUNCTIONS.transform}: lacks the environment variable PGEVENTS_WRITER_FUNCTION"
    ]


def test_destinations_that_are_missing_are_errors(aws: SmallAws) -> None:
    aws.forget("/event-invoke-config")
    assert aws.ills() == [
        f"error {FUNCTIONS.transform}: has no destination OnFailure",
        f"error {FUNCTIONS.writer}: has no destination OnSuccess and OnFailure",
    ]


@pytest.mark.parametrize(
    ("reserved", "told"),
    [
        ({}, "has no reservation: others may use its concurrency up"),
        (
            {"ReservedConcurrentExecutions": WRITERS - 1},
            "runs 31 at a time where 32 batches may be in flight; Lambda lets the others wait for minutes",
        ),
    ],
)
def test_too_few_writers_are_a_warning(aws: SmallAws, reserved: dict[str, int], told: str) -> None:
    aws.answers[f"/2019-09-30/functions/{FUNCTIONS.writer}/concurrency"] = reserved
    assert aws.ills() == [f"warning {FUNCTIONS.writer}: {told}"]


def test_a_bucket_that_is_gone_or_open_is_an_error(aws: SmallAws) -> None:
    aws.answers[f"/{BUCKET}?publicAccessBlock"] = PUBLIC.format("false")
    assert aws.ills() == [f"error {BUCKET}: is not closed to the public"]
    aws.forget("publicAccessBlock")
    assert aws.ills() == [f"error {BUCKET}: is not closed to the public"]
    aws.forget(BUCKET)
    assert aws.ills() == [f"error {BUCKET}: there is no such bucket"]


def test_without_credentials_one_line_says_what_was_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    # boto3's default session may hold the credentials that an earlier test has had.
    [found] = aws_findings(FUNCTIONS, WRITERS, "eu-west-1", boto3.session.Session().client)
    assert (found.level, found.where) == ("warning", "AWS")
    assert found.what == "no credentials: the Lambdas and the bucket were not looked at"


def test_an_aws_that_does_not_answer_is_an_error() -> None:
    client = partial(
        boto3.client,
        endpoint_url="http://127.0.0.1:1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}),
    )
    [found] = aws_findings(FUNCTIONS, WRITERS, "eu-west-1", client)
    assert found.level == "error"
    assert found.what.startswith("did not answer: ")


def test_the_exit_code_is_that_of_the_worst() -> None:
    well, look = ok("a", "b"), warning("a", "b", "c")
    assert [exit_code(found) for found in ([], [well], [look, well])] == [0, 0, 1]
    assert exit_code([look, graded(5, (1, 2), "a", "b", "c")]) == 2
    assert [graded(value, (1, 2), "a", "b", "c").level for value in (0, 1, 2)] == ["ok", "warning", "error"]
    assert graded(0, (1, 2), "a", "b", "c").do == ""
