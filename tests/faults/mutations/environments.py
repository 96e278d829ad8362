"""Execution environments with the code under test: run as a program, it forks one for each socket it is sent.

Run with the code's folders on the path and nothing else of the project. It imports both Lambdas once, so that an
environment costs a fork and no start of Python.
"""

import ctypes
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

SECONDS = 6.0


class Context:
    """What Lambda tells of an invocation."""

    def __init__(self) -> None:
        self._until = time.monotonic() + SECONDS

    def get_remaining_time_in_millis(self) -> int:
        return max(0, round((self._until - time.monotonic()) * 1000))


def die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def install(event: dict[str, Any], _: Context) -> dict[str, Any]:
    """Captures the tables of a source: `{"dsn", "source"}`."""
    import psycopg

    from db_triggers.installer import Wake
    from db_triggers.installer import install as install_capture
    from pgevents.config import load

    pipeline = load(Path(os.environ["LAMBDA_TASK_ROOT"]) / "pipeline.toml")
    with psycopg.connect(event["dsn"], autocommit=True) as connection:
        wake = Wake("transform", "eu-west-1")
        return {
            "captured": install_capture(
                connection, event["source"], pipeline.sources[event["source"]], wake
            ).captured
        }


def reconcile(event: dict[str, Any], _: Context) -> list[dict[str, Any]]:
    """What `./pgevents reconcile` finds, in the form of its --json: `{"endpoints", "repair", "file"}`."""
    import io

    import msgspec

    from ops.endpoints import Endpoints
    from ops.reconcile import report
    from ops.reconcile.run import Options, reconciled
    from ops.reconcile.selection import select
    from pgevents.config import load

    pipeline = load(Path(os.environ["LAMBDA_TASK_ROOT"]) / "pipeline.toml")
    endpoints = msgspec.convert(event["endpoints"], Endpoints)
    options = Options(repair=event["repair"])
    printed = io.StringIO()
    selection = select(pipeline, None, [], None)
    with reconciled(pipeline, endpoints, selection, options, Path(event["file"])) as outcome:
        report.print_json(outcome, printed)
    found: list[dict[str, Any]] = json.loads(printed.getvalue())["findings"]
    return found


def serve(function: str, connection: socket.socket) -> None:
    """Handles one event a line until nobody sends any more."""
    from redshift_writer import handler as redshift_writer
    from transform import handler as transform

    handlers = {
        "transform": transform.handle,
        "redshift_writer": redshift_writer.handle,
        "installer": install,
        "reconcile": reconcile,
    }
    handle = handlers[function]
    lines = connection.makefile("rwb")
    for line in lines:
        answer: dict[str, Any]
        try:
            answer = {"answer": handle(json.loads(line), Context())}
        except Exception as error:
            print(f"{function} failed: {type(error).__name__}: {error}", flush=True)
            answer = {"error": f"{type(error).__name__}: {error}"}
        lines.write(json.dumps(answer, default=str).encode() + b"\n")
        lines.flush()


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    die_with_parent()
    import boto3

    import redshift_writer.handler  # noqa: F401
    import transform.handler  # noqa: F401

    boto3.client("lambda")  # reads the description of the service, which takes half of its start
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    control.send(b"ready")
    while True:
        function, descriptors, _, _ = socket.recv_fds(control, 100, 1)
        if not function:
            return
        child = os.fork()
        if child == 0:
            die_with_parent()
            control.close()
            serve(function.decode(), socket.socket(fileno=descriptors[0]))
            os._exit(0)
        os.close(descriptors[0])
        control.send(str(child).encode())


if __name__ == "__main__":
    main()
