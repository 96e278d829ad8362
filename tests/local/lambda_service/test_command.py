"""`python -m local.lambda_service`: the service as a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local.postgres import free_port
from tests.local.lambda_service.running import PATIENCE_S, alive, eventually, lambda_client

PROJECT = Path(__file__).parents[3]

Launch = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def configuration(runtime: Path, package: Path, state: Path) -> dict[str, Any]:
    function = {"name": "function", "package": str(package), "handler": "app.handle", "timeout_s": 60}
    function["environment"] = {"SEEN": str(state / "seen")}
    return {"state": str(state), "runtime": str(runtime), "port": free_port(), "functions": [function]}


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Starts the command with a configuration, as text or as what becomes JSON."""
    launched: list[subprocess.Popen[str]] = []

    def launch(configuration: object, **options: Any) -> "subprocess.Popen[str]":
        path = tmp_path / "config.json"
        path.write_text(configuration if isinstance(configuration, str) else json.dumps(configuration))
        paths = (PROJECT, PROJECT / "lambdas", PROJECT / "lambdas" / "core")
        launched.append(
            subprocess.Popen(
                [sys.executable, "-m", "local.lambda_service", str(path)],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "AWS_PROFILE": "nobody"},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                **options,
            )
        )
        return launched[-1]

    yield launch
    for process in launched:
        process.kill()
        process.communicate()


def ready_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def url_of(configuration: dict[str, Any]) -> str:
    return f"http://127.0.0.1:{configuration['port']}"


def environments(configuration: dict[str, Any], seen: Path) -> list[int]:
    """Two functions' processes: one that is idle and one that works for another minute."""
    client = lambda_client(url_of(configuration))
    idle = json.load(client.invoke(FunctionName="function", Payload=b'{"do": "pid"}')["Payload"])
    for seconds in (0.3, 60):
        payload = json.dumps({"do": "sleep", "seconds": seconds})
        client.invoke(FunctionName="function", Payload=payload, InvocationType="Event")
    client.close()
    eventually(lambda: len(seen.read_text().splitlines()) == 3)
    children = processes_of_the_function(seen)
    assert idle in children
    assert len(children) == 2
    return children


def processes_of_the_function(seen: Path) -> list[int]:
    """The processes that run a function with this file to note events in."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = (folder / "environ").read_bytes()
        except OSError:
            continue
        if f"SEEN={seen}\0".encode() in variables:
            found.append(int(folder.name))
    return found


def test_it_says_when_it_is_ready_and_ends_cleanly_when_told(
    launch: Launch, configuration: dict[str, Any], state: Path
) -> None:
    process = launch(configuration)
    assert ready_line(process) == f"lambda service ready on {url_of(configuration)}"
    pids = environments(configuration, state / "seen")
    process.terminate()
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, output, errors) == (0, "", "")
    assert not any(map(alive, pids))


def test_control_c_ends_it_without_a_traceback(
    launch: Launch, configuration: dict[str, Any], state: Path
) -> None:
    process = launch(configuration, start_new_session=True)
    ready_line(process)
    pids = environments(configuration, state / "seen")
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors) == (0, "")
    assert not any(map(alive, pids))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
def test_its_functions_die_with_it_even_when_it_is_killed(
    launch: Launch, configuration: dict[str, Any], state: Path
) -> None:
    process = launch(configuration)
    ready_line(process)
    pids = environments(configuration, state / "seen")
    os.kill(pids[0], signal.SIGSTOP)
    process.kill()
    process.wait()
    eventually(lambda: not any(map(alive, pids)), seconds=2)


def test_it_starts_again_where_it_was_killed(
    launch: Launch, configuration: dict[str, Any], state: Path
) -> None:
    first = launch(configuration)
    ready_line(first)
    environments(configuration, state / "seen")
    first.kill()
    first.communicate()
    assert list((state / "tmp" / "lambda").iterdir())
    second = launch(configuration)
    assert ready_line(second).startswith("lambda service ready")
    assert list((state / "tmp" / "lambda").glob("*")) == []


def test_a_port_in_use_is_one_line_and_exit_code_2(launch: Launch, configuration: dict[str, Any]) -> None:
    first = launch(configuration)
    ready_line(first)
    second = launch(configuration)
    output, errors = second.communicate(timeout=PATIENCE_S)
    assert (second.returncode, output) == (2, "")
    assert errors.count("\n") == 1
    assert f"port {configuration['port']}: " in errors
    assert "in use" in errors
    client = lambda_client(url_of(configuration))
    assert client.invoke(FunctionName="function")["StatusCode"] == 200
    client.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"port": "many"}, "`$.port`"),
        ({"functions": [{"name": "a b", "package": ".", "handler": "app.handle"}]}, "`$.functions[0].name`"),
        ({"functions": [{"name": "a", "package": "/not/there", "handler": "app.handle"}]}, "/not/there"),
        ({"functions": [{"name": "a", "package": ".", "handler": "app.handle"}] * 2}, "a is there twice"),
        ({"functions": [{"name": "a", "package": ".", "handler": "h.h", "retries": 3}]}, "retries"),
        (
            {"functions": [{"name": "a", "package": ".", "handler": "h.h", "on_success": "b"}]},
            "destination b",
        ),
        ({"schedules": [{"every_s": 1, "function": "nobody"}]}, "no function nobody"),
        ({"account_concurrency": 0}, "`$.account_concurrency`"),
        ({"runtime": "/not/there"}, "/not/there"),
    ],
)
def test_a_wrong_configuration_is_one_line_and_exit_code_2(
    launch: Launch, configuration: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    process = launch({**configuration, **change})
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, output) == (2, "")
    assert errors.count("\n") == 1
    assert message in errors


def test_a_file_that_is_no_json_is_one_line_and_exit_code_2(launch: Launch) -> None:
    process = launch("{")
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert errors.count("\n") == 1
    assert "config.json: " in errors
