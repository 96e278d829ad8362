"""How fast the service is. The bounds are wide, so that only a real loss of speed fails on a busy machine."""

import statistics
import time
from pathlib import Path

from tests.local.lambda_service.conftest import Start
from tests.local.lambda_service.running import eventually, function, write_package

EMPTY = "def handle(event, context):\n    return None\n"


def test_a_warm_synchronous_invoke_takes_milliseconds(start: Start, tmp_path: Path, state: Path) -> None:
    running = start(function(write_package(tmp_path / "empty", EMPTY), state))
    running.ask()
    took: list[float] = []
    for _ in range(200):
        began = time.perf_counter()
        running.client.invoke(FunctionName="function", Payload=b"{}")["Payload"].read()
        took.append((time.perf_counter() - began) * 1000)
    print(f"warm synchronous invoke: p50 {statistics.median(took):.1f} ms")
    assert statistics.median(took) < 50


def test_five_hundred_events_pass_in_seconds(start: Start, tmp_path: Path, state: Path) -> None:
    running = start(function(write_package(tmp_path / "empty", EMPTY), state))
    began = time.perf_counter()
    for _ in range(500):
        running.client.invoke(FunctionName="function", Payload=b"{}", InvocationType="Event")
    eventually(lambda: running.counts()["successes"] == 500, seconds=20)
    took = time.perf_counter() - began
    print(f"500 events: {took:.2f} s")
    assert took < 15
