"""Invokes on a schedule."""

import asyncio
import time
from pathlib import Path

from local.lambda_service import Schedule
from local.lambda_service.schedule import Schedules
from tests.local.lambda_service.conftest import Start
from tests.local.lambda_service.running import eventually


def test_a_schedule_invokes_its_function_again_and_again(start: Start, package: Path) -> None:
    schedule = Schedule(every_s=0.1, function="function", payload={"kind": "sweep"})
    began = time.monotonic()
    running = start(service={"schedules": (schedule,)})
    eventually(lambda: running.counts()["async"] >= 5)
    assert time.monotonic() - began > 0.5
    eventually(lambda: len(running.events()) >= 5)
    assert running.events()[:5] == [{"kind": "sweep"}] * 5


def test_calls_that_are_late_are_made_up_for() -> None:
    calls: list[float] = []

    async def busy() -> None:
        schedules = Schedules()
        schedules.every(0.05, lambda: calls.append(time.monotonic()))
        await asyncio.sleep(0.08)
        assert len(calls) == 1
        time.sleep(0.5)  # the loop is kept busy on purpose
        await asyncio.sleep(0.01)
        await schedules.close()

    began = time.monotonic()
    asyncio.run(busy())
    expected = int((time.monotonic() - began) / 0.05)
    assert expected - 1 <= len(calls) <= expected


def test_nothing_is_called_after_the_end() -> None:
    calls: list[None] = []

    async def end_early() -> None:
        schedules = Schedules()
        schedules.every(0.02, lambda: calls.append(None))
        await schedules.close()
        await asyncio.sleep(0.1)

    asyncio.run(end_early())
    assert calls == []
