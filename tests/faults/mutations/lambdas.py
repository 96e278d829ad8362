"""Both Lambdas on the code under test, without the stack: environments, an asynchronous queue, a sweep, doorbells.

Small, so that a run takes seconds; what it lacks (time-outs, retries, concurrency of the real rules) the runs of the
whole stack have. Everything beyond it is real: PostgreSQL, the Redshift stand-in, the S3 emulator, the handlers.
"""

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import psycopg

PROGRAM = Path(__file__).with_name("environments.py")
TRANSFORM, WRITER = "transform", "redshift_writer"


class Ended(Exception):
    """An environment was killed while it worked."""


class Weather(msgspec.Struct):
    """What befalls the events between the Lambdas. Shares of them, by a seeded chance; `sweep_seconds` 0 is none."""

    drop: float = 0.0
    twice: float = 0.0
    late: float = 0.0
    late_seconds: float = 0.4
    answers_lost: float = 0.0
    kill_every_seconds: float = 0.0
    sweep_seconds: float = 0.25
    doorbell: bool = True


class Environment:
    """One execution environment; a new one is forked where the last one has ended."""

    def __init__(self, function: str, fork: Callable[[str], tuple[int, socket.socket]]) -> None:
        self._function = function
        self._fork = fork
        self._lock = threading.Lock()
        self._lines: Any = None
        self.process: int | None = None

    def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        """The handler's answer, or its error. Raises Ended."""
        with self._lock:
            if self._lines is None:
                self.process, connection = self._fork(self._function)
                self._lines = connection.makefile("rwb")
                connection.close()
            try:
                self._lines.write(json.dumps(event).encode() + b"\n")
                self._lines.flush()
                line = self._lines.readline()
            except OSError:
                line = b""
            if not line:
                self._close()
                raise Ended(self._function)
            answer: dict[str, Any] = json.loads(line)
            return answer

    def strike(self, number: signal.Signals) -> None:
        """Sends its process a signal."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process, number)

    def end(self) -> None:
        """Kills it if it runs."""
        self.strike(signal.SIGKILL)
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._lines is not None:
            with contextlib.suppress(OSError):
                self._lines.close()
        self._lines = self.process = None


class Lambdas:
    """Everything between the sources and the sinks, from `running` to its end."""

    def __init__(
        self, code: Path, log: Path, variables: dict[str, str], source: tuple[str, str], weather: Weather
    ) -> None:
        self.weather = msgspec.structs.replace(weather)  # it changes during a run
        self.source, self._dsn = source
        self.errors: list[str] = []
        self._random = Random(f"{weather}")
        self._stop = threading.Event()
        self._events: queue.PriorityQueue[tuple[float, int, dict[str, Any]]] = queue.PriorityQueue()
        self._count = 0
        self._woken = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _invoke_api(self))
        self._server.daemon_threads = True
        roots = [code, code / "lambdas", code / "lambdas" / "core"]
        environment = {
            "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, roots)), "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_ENDPOINT_URL_LAMBDA": f"http://127.0.0.1:{self._server.server_port}", "LAMBDA_TASK_ROOT": str(code),
            **variables,
        }  # fmt: skip
        ours, theirs = socket.socketpair()
        with log.open("ab") as output:
            self._program = subprocess.Popen(
                [sys.executable, "-P", str(PROGRAM), str(theirs.fileno())],
                env=environment, pass_fds=[theirs.fileno()], stdout=output, stderr=output, cwd=code,
            )  # fmt: skip
        theirs.close()
        self._control = ours
        self._forking = threading.Lock()
        self.drains = Environment(TRANSFORM, self._fork)
        self.notes = Environment(TRANSFORM, self._fork)
        self.writer = Environment(WRITER, self._fork)
        self._threads: list[threading.Thread] = []

    def environment(self, function: str) -> Environment:
        """One more environment."""
        return Environment(function, self._fork)

    def start(self) -> None:
        """Begins to serve."""
        if self._control.recv(10) != b"ready":
            raise AssertionError("the code under test does not import; see the log")
        serving = [
            self._server.serve_forever,
            self._work_off,
            self._drain_when_woken,
            self._kill_now_and_then,
        ]
        serving += [self._listen] if self.weather.doorbell else []
        self._threads = [threading.Thread(target=work, daemon=True) for work in serving]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends everything, whatever it is at."""
        self._stop.set()
        self._woken.set()
        for environment in (self.drains, self.notes, self.writer):
            environment.end()
        self._server.shutdown()
        self._server.server_close()
        self._control.close()
        for thread in self._threads:
            thread.join(10)
        self._program.wait(10)

    def forwarded(self, event: dict[str, Any]) -> None:
        """Takes an asynchronous invoke of the writer, in the weather that there is."""
        weather, random = self.weather, self._random
        if random.random() < weather.drop:
            return
        for _ in range(2 if random.random() < weather.twice else 1):
            late = random.uniform(0, weather.late_seconds) if random.random() < weather.late else 0.0
            self._count += 1
            self._events.put((time.monotonic() + late, self._count, event))

    def wake(self) -> None:
        """Rings the doorbell by hand."""
        self._woken.set()

    def _fork(self, function: str) -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair()
        with self._forking:
            socket.send_fds(self._control, [function.encode()], [theirs.fileno()])
            process = int(self._control.recv(20))
        theirs.close()
        return process, ours

    def _work_off(self) -> None:
        while not self._stop.is_set():
            try:
                due, number, event = self._events.get(timeout=0.05)
            except queue.Empty:
                continue
            if due > time.monotonic():
                self._events.put((due, number, event))
                time.sleep(0.005)
                continue
            self._write(event)

    def _write(self, event: dict[str, Any]) -> None:
        try:
            answer = self.writer.invoke(event)
            if "answer" in answer:
                if self._random.random() >= self.weather.answers_lost:
                    self.notes.invoke({"requestPayload": event, "responsePayload": answer["answer"]})
            else:
                self.errors.append(answer["error"])
        except Ended:
            pass

    def _drain_when_woken(self) -> None:
        swept = time.monotonic()
        while not self._stop.is_set():
            woken = self._woken.wait(0.02)
            self._woken.clear()
            pause = self.weather.sweep_seconds
            if pause and time.monotonic() - swept > pause:
                swept = time.monotonic()
                self._invoke({"kind": "sweep"})
            elif woken and not self._stop.is_set():
                self._invoke({"kind": "doorbell", "source": self.source})

    def _invoke(self, event: dict[str, Any]) -> None:
        try:
            answer = self.drains.invoke(event)
            if "error" in answer:
                self.errors.append(answer["error"])
        except Ended:
            pass

    def _kill_now_and_then(self) -> None:
        every = self.weather.kill_every_seconds
        while every and not self._stop.wait(self._random.uniform(0.2, 1) * every):
            every = self.weather.kill_every_seconds
            self._random.choice((self.drains, self.writer, self.notes)).strike(signal.SIGKILL)

    def _listen(self) -> None:
        while not self._stop.is_set():
            with (
                contextlib.suppress(psycopg.OperationalError),
                psycopg.connect(self._dsn, autocommit=True) as listener,
            ):
                listener.execute("listen pgevents_doorbell")
                while not self._stop.is_set():
                    for _ in listener.notifies(timeout=0.2, stop_after=1):
                        self._woken.set()


@contextlib.contextmanager
def running(lambdas: Lambdas) -> Iterator[Lambdas]:
    """The Lambdas for the length of a block."""
    try:
        lambdas.start()
        yield lambdas
    finally:
        lambdas.stop()


def _invoke_api(lambdas: Lambdas) -> type[BaseHTTPRequestHandler]:
    """Lambda's Invoke API, as far as a doorbell and the forwarder use it: it takes the event and says 202."""

    class InvokeApi(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            event = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if event.get("kind") == "batch":
                lambdas.forwarded(event)
            else:
                lambdas.wake()
            self.send_response(202)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return InvokeApi
