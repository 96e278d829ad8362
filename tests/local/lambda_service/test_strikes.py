"""Strikes at the boundaries of a function's steps, ordered from outside while it runs."""

import os
import select
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.local.lambda_service.conftest import Start
from tests.local.lambda_service.running import Running, alive, eventually, function, write_package

STEPS = """
import os, socket, time
from datetime import datetime

class Work:
    def step(self, number):
        return number + 1

    @staticmethod
    def fixed():
        return "fixed"

def outer():
    return "outer"

kept = []
made_before = datetime(2026, 1, 1)

def handle(event, context):
    if "connect" in event:
        kept.append(socket.create_connection(("127.0.0.1", event["connect"])))
    number = Work().step(event.get("number", 0))
    assert isinstance(made_before, datetime)
    return {"number": number, "pid": os.getpid(), "outer": outer(), "fixed": Work.fixed(),
            "time": time.time(), "year": datetime.now().year}
"""


@pytest.fixture
def running(start: Start, tmp_path: Path, state: Path) -> Running:
    settings: dict[str, Any] = {"timeout_s": 5.0, "retry_delays_s": (0.01,)}
    return start(function(write_package(tmp_path / "steps", STEPS), state, **settings))


def order(running: Running, target: str, action: str, **more: object) -> None:
    status, answer = running.control(
        "POST", "functions/function/strikes", {"target": target, "action": action, **more}
    )
    assert status == 200, answer


def report(running: Running) -> dict[str, Any]:
    found: dict[str, Any] = running.control("GET", "functions/function/strikes")[1][-1]
    return found


def test_a_process_that_runs_already_kills_itself_before_a_step(running: Running) -> None:
    pid = running.ask({})["pid"]
    order(running, "app:Work.step", "kill")
    assert "killed" in running.call({})["Payload"]["errorMessage"]
    assert [struck["pid"] for struck in report(running)["struck"]] == [pid]
    assert running.ask({"number": 4})["number"] == 5


def test_it_strikes_at_the_calls_that_were_named_over_all_processes(running: Running) -> None:
    order(running, "app:outer", "kill", nth=2, count=2)
    assert [running.call({}).get("FunctionError") for _ in range(4)] == [
        None,
        "Unhandled",
        "Unhandled",
        None,
    ]
    assert report(running)["calls"] == 4


def test_after_a_step_its_effect_is_there(running: Running) -> None:
    order(running, "app:outer", "raise", when="after", error="builtins:TimeoutError")
    assert running.call({})["Payload"]["errorType"] == "TimeoutError"
    assert len(report(running)["struck"]) == 1


def test_a_stopped_process_goes_on_when_it_is_told_to(running: Running) -> None:
    order(running, "app:Work.step", "stop")
    running.send({})
    [struck] = eventually(lambda: report(running)["struck"])
    time.sleep(0.2)
    assert running.counts()["successes"] == 0
    os.kill(struck["pid"], signal.SIGCONT)
    eventually(lambda: running.counts()["successes"] == 1)


def test_a_process_that_dies_may_leave_its_connections_open(running: Running) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        order(running, "app:Work.step", "abandon", seconds=1.0)
        died = running.call({"connect": server.getsockname()[1]})
        assert "killed" in died["Payload"]["errorMessage"]
        accepted, _ = server.accept()
        with accepted:
            assert not alive(report(running)["struck"][0]["pid"])
            assert select.select([accepted], [], [], 0.3)[0] == []
            assert select.select([accepted], [], [], 5)[0] == [accepted]
            assert accepted.recv(1) == b""


def test_a_clock_that_steps_is_another_one_for_everybody(running: Running) -> None:
    order(running, "app:Work.step", "clock", seconds=-100_000_000)
    before = time.time()
    found = running.ask({})
    assert found["time"] < before - 99_000_000
    assert found["year"] < time.gmtime(before).tm_year - 1


def test_a_static_method_stays_one(running: Running) -> None:
    order(running, "app:Work.fixed", "sleep", seconds=0.2)
    began = time.monotonic()
    assert running.ask({})["fixed"] == "fixed"
    assert time.monotonic() - began > 0.2
    running.control("DELETE", "functions/function/strikes")
    assert running.ask({})["fixed"] == "fixed"


def test_cleared_strikes_strike_no_more(running: Running) -> None:
    order(running, "app:outer", "raise", count=5)
    assert "FunctionError" in running.call({})
    assert running.control("DELETE", "functions/function/strikes") == (200, [])
    assert running.ask({})["outer"] == "outer"


@pytest.mark.parametrize("target", ["app:Work.gone", "app:nothing", "absent:outer"])
def test_a_step_that_is_not_there_is_told(running: Running, target: str) -> None:
    order(running, target, "kill")
    running.ask({})
    assert target in report(running)["error"]


def test_a_wrong_order_is_refused(running: Running) -> None:
    status, answer = running.control(
        "POST", "functions/function/strikes", {"target": "app", "action": "kill"}
    )
    assert (status, "target" in answer["error"]) == (400, True)
