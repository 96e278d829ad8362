"""A source that is well, for tests that make it ill in one way each."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import pytest

from db_triggers.installer import Wake, install
from local import aws_extensions
from ops.doctor.capture import source_findings
from ops.doctor.finding import Finding, Limits
from pgevents.config import Pipeline, PostgresSink, Route, Source, Table

NAME = "shop"
WAKE = Wake("pgevents-transform", "eu-west-1")
PIPELINE = Pipeline(
    {NAME: Source(tables=(Table("public.account"),), doorbell="invoke")},
    {"replica": PostgresSink()},
    (Route("shop.public.account", ("replica",)),),
)


class InvokeApi:
    """Answers every invocation with `status`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 204


class Patient:
    """A captured source, and what the doctor says of it."""

    def __init__(self, connection: psycopg.Connection[Any], lambda_: InvokeApi) -> None:
        self.connection = connection
        self.lambda_ = lambda_

    def run(self, statements: str) -> None:
        self.connection.execute(statements.encode())

    def findings(
        self, limits: Limits | None = None, pipeline: Pipeline = PIPELINE, dsn: str = ""
    ) -> list[Finding]:
        if not dsn:
            return [*source_findings(self.connection, NAME, pipeline, limits or Limits())]
        with psycopg.connect(dsn, autocommit=True) as other:
            return [*source_findings(other, NAME, pipeline, limits or Limits())]

    def ills(self, limits: Limits | None = None, pipeline: Pipeline = PIPELINE, dsn: str = "") -> list[str]:
        """Every finding that is not well: level, where and what."""
        found = self.findings(limits, pipeline, dsn)
        assert all(each.do for each in found if each.level != "ok")
        return [f"{each.level} {each.where}: {each.what}" for each in found if each.level != "ok"]


@pytest.fixture
def lambda_() -> Iterator[InvokeApi]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(api.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api = InvokeApi(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def patient(database: str, lambda_: InvokeApi) -> Iterator[Patient]:
    """A source with one captured table, whose doorbell is answered."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create table account (id int primary key, name text)")
        aws_extensions.install(connection, lambda_.url)
        install(connection, NAME, PIPELINE.sources[NAME], WAKE, PIPELINE.routes)
        yield Patient(connection, lambda_)
