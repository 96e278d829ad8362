"""A small Invoke API that records what it is asked and answers as it is told."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import psycopg
import pytest

from local.aws_extensions import install


@dataclass
class Request:
    """One request to the Invoke API."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class InvokeApi:
    """Answers every request with `answer(request)`: status, headers, body."""

    port: int
    requests: list[Request] = field(default_factory=list)
    answer: Callable[[Request], tuple[int, dict[str, str], bytes]] = lambda request: (202, {}, b"")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def payloads(self) -> list[Any]:
        return [json.loads(request.body) for request in self.requests]


@pytest.fixture
def invoke_api() -> Iterator[InvokeApi]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(unquote(self.path), headers, body)
            api.requests.append(request)
            status, answered, content = api.answer(request)
            self.send_response(status)
            for name, value in {**answered, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api = InvokeApi(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def connection(database: str, invoke_api: InvokeApi) -> Iterator[psycopg.Connection[Any]]:
    """The superuser's connection to a database with both schemas installed."""
    with psycopg.connect(database, autocommit=True) as connection:
        install(connection, invoke_api.url)
        yield connection
