"""Execution environments: processes that see what a function on AWS sees, and how they end."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.local.lambda_service.conftest import Start
from tests.local.lambda_service.running import Running, alive, eventually, function, write_package


def test_a_function_sees_its_package_and_the_runtime_and_nothing_else_of_this_machine(
    start: Start, package: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "7")
    monkeypatch.setenv("PYTHONPATH", "/somewhere/else")
    seen = start(memory_mb=512).ask({"do": "surroundings"})
    assert seen["path"][:2] == [str(package), str(runtime)]
    assert not [path for path in seen["path"] if "site-packages" in path]
    assert seen["cwd"] == str(package)
    variables = seen["variables"]
    assert "AWS_MAX_ATTEMPTS" not in variables
    assert variables["AWS_LAMBDA_FUNCTION_NAME"] == "function"
    assert variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "512"
    assert variables["_HANDLER"] == "app.handle"
    assert variables["LAMBDA_TASK_ROOT"] == str(package)
    assert variables["AWS_REGION"] == "eu-west-1"
    assert variables["HOME"] != os.environ.get("HOME")
    assert Path(variables["TMPDIR"]).is_relative_to(package.parent)


def test_a_dependency_that_only_the_virtual_environment_has_is_missing(start: Start) -> None:
    running = start()
    assert (
        running.call({"do": "import", "module": "aiohttp"})["Payload"]["errorType"] == "ModuleNotFoundError"
    )
    assert "FunctionError" not in running.call({"do": "import", "module": "boto3"})


def test_boto3_in_a_function_reaches_the_functions_of_this_service(
    start: Start, tmp_path: Path, state: Path
) -> None:
    calling = (
        "import boto3\n"
        "def handle(event, context):\n"
        "    return boto3.client('lambda').invoke(FunctionName='function')['StatusCode']\n"
    )
    running = start(
        function(write_package(tmp_path / "package"), state),
        function(write_package(tmp_path / "calling", calling), state, "calling", timeout_s=20),
    )
    assert running.ask({}, "calling") == 200
    assert running.events() == [{}]


def test_an_environment_is_reused_the_one_used_last_first(start: Start) -> None:
    running = start(timeout_s=10)
    slow = threading.Thread(target=lambda: running.ask({"do": "sleep", "seconds": 0.6}))
    slow.start()
    eventually(running.seen)
    quick = running.ask({"do": "pid"})
    slow.join()
    last = next(pid for pid in running.pids() if pid != quick)
    assert {running.ask({"do": "pid"}) for _ in range(5)} == {last}
    assert running.counts()["cold_starts"] == 2


def test_an_idle_environment_ends_after_a_while(start: Start) -> None:
    running = start(service={"idle_timeout_s": 0.3})
    pid = running.ask({"do": "pid"})
    assert alive(pid)
    eventually(lambda: not alive(pid))
    eventually(lambda: running.pids() == [])
    assert running.ask({"do": "pid"}) != pid


def test_a_function_that_takes_too_long_is_killed(start: Start) -> None:
    running = start(timeout_s=0.4)
    pid = running.ask({"do": "pid"})
    began = time.monotonic()
    answer = running.call({"do": "sleep", "seconds": 30})
    assert 0.4 < time.monotonic() - began < 15
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"]["errorType"] == "Sandbox.Timedout"
    assert answer["Payload"]["errorMessage"].endswith("Task timed out after 0.40 seconds")
    assert not alive(pid)
    assert "Status: timeout" in running.log()
    assert running.ask({"do": "pid"}) != pid


def test_a_frozen_process_is_killed_at_the_time_limit(start: Start) -> None:
    running = start(timeout_s=0.5)
    pid = running.ask({"do": "pid"})
    os.kill(pid, signal.SIGSTOP)
    assert running.call({"do": "pid"})["Payload"]["errorType"] == "Sandbox.Timedout"
    assert not alive(pid)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"do": "exit", "code": 3}, "exit status 3"),
        ({"do": "exit", "code": 0}, "Runtime exited without providing a reason"),
        ({"do": "die"}, "signal: killed"),
    ],
)
def test_a_process_that_ends_by_itself_is_an_error_of_the_function(
    start: Start, event: dict[str, object], reason: str
) -> None:
    running = start()
    answer = running.call(event)
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"]["errorType"] == "Runtime.ExitError"
    assert answer["Payload"]["errorMessage"].endswith(reason)
    assert answer["ResponseMetadata"]["RequestId"] in answer["Payload"]["errorMessage"]
    assert "Error Type: Runtime.ExitError" in running.log()
    assert running.ask({"still": "works"}) == {"still": "works"}


def test_an_environment_that_is_killed_while_idle_is_replaced_unnoticed(start: Start) -> None:
    running = start()
    for _ in range(5):
        os.kill(running.ask({"do": "pid"}), signal.SIGKILL)
        eventually(lambda: running.pids() == [])
        assert running.ask({"a": 1}) == {"a": 1}


def test_what_a_function_started_ends_with_it(start: Start) -> None:
    running = start(timeout_s=0.5)
    child = running.ask({"do": "spawn"})
    assert alive(child)
    running.call({"do": "sleep", "seconds": 30})
    eventually(lambda: not alive(child))


def init_reports(running: Running) -> list[str]:
    return [line for line in running.log().splitlines() if line.startswith("INIT_REPORT")]


def test_a_handler_that_does_not_import_is_tried_twice_and_reported(
    start: Start, tmp_path: Path, state: Path
) -> None:
    broken = write_package(tmp_path / "broken", "import nowhere_to_be_found\n")
    running = start(function(broken, state))
    answer = running.call()
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"]["errorType"] == "Runtime.ImportModuleError"
    assert "nowhere_to_be_found" in answer["Payload"]["errorMessage"]
    assert ["Phase: init" in line for line in init_reports(running)] == [True, False]
    assert running.pids() == []


def test_a_handler_that_is_missing_or_ends_the_process_is_reported(
    start: Start, tmp_path: Path, state: Path
) -> None:
    running = start(
        function(write_package(tmp_path / "one"), state, "missing", handler="app.other"),
        function(write_package(tmp_path / "two", "import os\nos._exit(4)\n"), state, "ending"),
        function(write_package(tmp_path / "three", "def handle(:\n"), state, "wrong"),
    )
    assert running.call(function="missing")["Payload"]["errorType"] == "Runtime.HandlerNotFound"
    ending = running.call(function="ending")["Payload"]
    assert ending["errorType"] == "Runtime.ExitError"
    assert ending["errorMessage"].endswith("exit status 4")
    assert running.call(function="wrong")["Payload"]["errorType"] == "Runtime.UserCodeSyntaxError"


def test_an_initialisation_that_is_too_slow_is_tried_again_within_the_functions_time(
    start: Start, tmp_path: Path, state: Path
) -> None:
    slow = write_package(
        tmp_path / "slow", "import time\ntime.sleep(1)\ndef handle(event, context): return 'ready'\n"
    )
    running = start(
        function(slow, state, "patient", timeout_s=10),
        function(slow, state, "hurried", timeout_s=0.3),
        service={"init_timeout_s": 0.5},
    )
    assert running.ask({}, "patient") == "ready"
    assert "Phase: init\tStatus: timeout" in running.log("patient")
    assert running.call(function="hurried")["Payload"]["errorType"] == "Sandbox.Timedout"


def test_stopping_the_service_ends_every_process_and_leaves_no_scratch_files(
    start: Start, state: Path
) -> None:
    running = start(timeout_s=30)
    idle = running.ask({"do": "pid"})
    running.send({"do": "sleep", "seconds": 20})
    running.send({"do": "sleep", "seconds": 20})
    eventually(lambda: len(running.seen()) == 3)
    pids = running.pids()
    assert idle in pids
    assert len(pids) == 2
    running.stop()
    assert not any(map(alive, pids))
    assert list((state / "tmp" / "lambda").iterdir()) == []


@pytest.mark.parametrize("size", [7_000, 8_200, 100_000, 600_000, 3_000_000])
def test_an_error_of_any_length_arrives_whole(start: Start, tmp_path: Path, state: Path, size: int) -> None:
    """The runtime client repeats it in a header; one of 8 KB was once more than the service would read."""
    failing = (
        "def handle(event, context):\n"
        "    if event['size']:\n"
        "        raise ValueError('no: ' + 'x' * event['size'])\n"
    )
    running = start(function(write_package(tmp_path / "failing", failing), state, timeout_s=20))
    answer = running.call({"size": size})
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"]["errorType"] == "ValueError"
    assert answer["Payload"]["errorMessage"] == "no: " + "x" * size
    pid = running.pids()
    assert running.ask({"size": 0}) is None
    assert running.pids() == pid
