"""A service that runs on a thread of its own, so that a test can call it as any other program would."""

import asyncio
import functools
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import boto3
import msgspec
from botocore.config import Config
from botocore.response import StreamingBody

from local.lambda_service import FunctionConfiguration, LambdaService, ServiceConfiguration
from local.lambda_service.service import Extension

PATIENCE_S = 10.0

# One function that does what its event says, and notes what it was given in the file SEEN.
HANDLER = """
import ctypes, json, os, subprocess, sys, time

def handle(event, context):
    if "SEEN" in os.environ:
        with open(os.environ["SEEN"], "a") as seen:
            seen.write(json.dumps({"event": event, "id": context.aws_request_id}) + "\\n")
    match event.get("do") if isinstance(event, dict) else None:
        case "fail":
            raise ValueError("the function fails")
        case "fail_once":
            flag = os.environ["SEEN"] + ".failed"
            if not os.path.exists(flag):
                open(flag, "w").close()
                raise ValueError("the function fails once")
        case "sleep":
            time.sleep(event["seconds"])
        case "exit":
            os._exit(event["code"])
        case "die":
            os.kill(os.getpid(), 9)
        case "answer":
            return "x" * event["bytes"]
        case "print":
            print(event["text"])
        case "pid":
            time.sleep(event.get("seconds", 0))
            return os.getpid()
        case "spawn":
            return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid
        case "surroundings":
            return {"path": sys.path, "variables": dict(os.environ), "cwd": os.getcwd()}
        case "import":
            __import__(event["module"])
        case "context":
            return {"arn": context.invoked_function_arn, "left": context.get_remaining_time_in_millis(),
                    "custom": context.client_context.custom if context.client_context else None,
                    "memory": context.memory_limit_in_mb, "id": context.aws_request_id}
    return event
"""


def lambda_client(url: str, read_timeout: float = 60) -> Any:
    """boto3's own client, without its retries."""
    config = Config(retries={"total_max_attempts": 1}, read_timeout=read_timeout, max_pool_connections=50)
    return session().client("lambda", endpoint_url=url, config=config)


@functools.cache
def session() -> boto3.session.Session:
    """One for all tests: it reads the description of the API once."""
    return boto3.session.Session("local", "local", region_name="eu-west-1")


def write_package(folder: Path, handler: str = HANDLER) -> Path:
    """A package with one module, `app`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "app.py").write_text(handler)
    return folder


def eventually(condition: Callable[[], Any], seconds: float = PATIENCE_S) -> Any:
    """What the condition comes to once it is true; fails when it is not in time."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.01)
    return value


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Running:
    """A started service and what a test asks of it."""

    def __init__(self, configuration: ServiceConfiguration, extensions: Sequence[Extension] = ()) -> None:
        self.state = Path(configuration.state)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.stopped = False
        try:
            self.service = self._run(self._start(configuration, extensions))
        except BaseException:
            self._end_thread()
            raise
        self.client = lambda_client(self.service.url)

    def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            try:
                self._run(self.service.stop())
            finally:
                self.client.close()
                self._end_thread()

    def call(self, payload: Any = None, function: str = "function", **options: Any) -> dict[str, Any]:
        """Invoke through boto3. `Payload` of the answer is the function's answer."""
        body = {} if payload is None else {"Payload": json.dumps(payload)}
        answer: dict[str, Any] = self.client.invoke(FunctionName=function, **body, **options)
        assert isinstance(answer["Payload"], StreamingBody)
        text = answer["Payload"].read()
        answer["Payload"] = json.loads(text) if text else None
        return answer

    def ask(self, payload: Any = None, function: str = "function") -> Any:
        """What the function answers. Fails when it fails."""
        answer = self.call(payload, function)
        assert "FunctionError" not in answer, answer["Payload"]
        return answer["Payload"]

    def send(self, payload: Any = None, function: str = "function") -> str:
        """Invoke asynchronously. The request id."""
        answer = self.call(payload, function, InvocationType="Event")
        assert answer["StatusCode"] == 202
        request_id: str = answer["ResponseMetadata"]["RequestId"]
        return request_id

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """What the control surface answers: (status, JSON)."""
        request = urllib.request.Request(f"{self.service.url}/_pgevents/{path}", method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def fault(self, function: str = "function", **fault: Any) -> None:
        status, answer = self.control("POST", f"functions/{function}/faults", fault)
        assert status == 200, answer

    def configure(self, function: str = "function", **changes: Any) -> None:
        status, answer = self.control("PATCH", f"functions/{function}/configuration", changes)
        assert status == 200, answer

    def stats(self, function: str = "function") -> dict[str, Any]:
        figures: dict[str, Any] = self.control("GET", "stats")[1][function]
        return figures

    def counts(self, function: str = "function") -> dict[str, int]:
        counts: dict[str, int] = self.stats(function)["counts"]
        return counts

    def pids(self, function: str = "function") -> list[int]:
        environments = self.control("GET", "environments")[1]
        return [environment["pid"] for environment in environments if environment["function"] == function]

    def seen(self, function: str = "function") -> list[Any]:
        """What the function was given, in order, as far as it noted it."""
        notes = self.state / f"{function}.seen"
        return (
            [msgspec.json.decode(line) for line in notes.read_bytes().splitlines()] if notes.exists() else []
        )

    def events(self, function: str = "function") -> list[Any]:
        return [note["event"] for note in self.seen(function)]

    def log(self, function: str = "function") -> str:
        return (self.state / "logs" / "lambda" / f"{function}.log").read_text()

    async def _start(
        self, configuration: ServiceConfiguration, extensions: Sequence[Extension]
    ) -> LambdaService:
        service = LambdaService(configuration, extensions)
        await service.start()
        return service

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=30)

    def _end_thread(self) -> None:
        self._run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def function(package: Path, state: Path, name: str = "function", **settings: Any) -> FunctionConfiguration:
    """A function of the package's module `app` that notes what it is given."""
    variables = {"SEEN": str(state / f"{name}.seen"), **settings.pop("environment", {})}
    return FunctionConfiguration(
        name=name, package=str(package), environment=variables, **{"handler": "app.handle", **settings}
    )
