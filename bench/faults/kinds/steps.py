"""Either Lambda killed, frozen, abandoned or failing at the boundary of a step."""

import os
import signal
from collections.abc import Generator
from contextlib import suppress
from random import Random
from typing import Literal

from bench.faults.arena import Arena
from bench.faults.boundaries import BOUNDARIES, OF_SHARDS
from bench.faults.kind import Attack, kind
from bench.faults.lambda_control import LambdaControl
from local.lambda_service.strikes import Action, Strike

When = Literal["before", "after"]

KILLED = "Lambda killed (SIGKILL) at a step"
FROZEN = "Lambda frozen (SIGSTOP) at a step"
ABANDONED = "Lambda gone, its connections left open"
FAILING = "A step of a Lambda fails"
CLOCKS = "Clocks that step"

_EVERYWHERE = BOUNDARIES | OF_SHARDS
_LATEST_CALL = 4
_AWAITED_SECONDS = 4.0
_CONNECTION_LOST = "psycopg:OperationalError"


def function_of(arena: Arena, boundary: str) -> LambdaControl:
    """The function that a boundary lies in."""
    return arena.transform if _EVERYWHERE[boundary].function == "transform" else arena.writer


def at(
    boundary: str, when: When, action: Action, *, seconds: float = 1.0, error: str = "builtins:RuntimeError"
) -> Attack:
    """Strikes once at a boundary, at a call that the seed chooses."""

    def attack(arena: Arena, random: Random) -> Generator[None, None, int]:
        function = function_of(arena, boundary)
        function.strike(
            Strike(
                target=_EVERYWHERE[boundary].target,
                when=when,
                action=action,
                nth=random.randint(1, _LATEST_CALL),
                seconds=seconds,
                error=error,
            )
        )
        yield  # traffic
        yield  # recovery
        yield  # at rest
        return function.struck()

    return attack


def frozen(boundary: str, when: When, *, resumed: bool) -> Attack:
    """Freezes a process at a boundary. It goes on when others may have taken its place, or never does."""

    def attack(arena: Arena, random: Random) -> Generator[None, None, int]:
        function = function_of(arena, boundary)
        nth = random.randint(1, _LATEST_CALL)
        function.strike(Strike(target=_EVERYWHERE[boundary].target, when=when, action="stop", nth=nth))
        yield
        if resumed and arena.until(function.struck, _AWAITED_SECONDS):
            # Sometimes before the source has ended its session, sometimes after.
            arena.sleep(random.uniform(0.1, 2 * arena.pace.pulse))
            resume(function)
        yield
        if resumed and arena.until(function.struck, _AWAITED_SECONDS):
            resume(function)
        yield
        return function.struck()

    return attack


def resume(function: LambdaControl) -> None:
    """Lets every process that a strike has stopped go on."""
    for report in function.strikes():
        for struck in report.struck:
            with suppress(ProcessLookupError):
                os.kill(struck.pid, signal.SIGCONT)


def _killed() -> None:
    for name, boundary in BOUNDARIES.items():
        kind(f"{boundary.function} killed before {name}", KILLED, (1, 3, 4))(at(name, "before", "kill"))
    for name in ("opening batches", "PostgreSQL sink", "S3 sink", "forwarding", "noting as forwarded",
                 "unlock", "acknowledging", "merge and commit"):  # fmt: skip
        kind(f"{BOUNDARIES[name].function} killed after {name}", KILLED, (1, 3, 4))(at(name, "after", "kill"))


def _frozen() -> None:
    resumed: list[tuple[str, When]] = [
        ("opening batches", "after"), ("PostgreSQL sink", "before"), ("PostgreSQL sink's rows", "before"),
        ("S3 sink", "before"), ("forwarding", "before"), ("noting as forwarded", "before"),
        ("unlock", "before"), ("last look", "after"), ("acknowledging", "before"),
        ("opening the transaction", "after"), ("merge and commit", "before"), ("merge and commit", "after"),
    ]  # fmt: skip
    for name, when in resumed:
        who = BOUNDARIES[name].function
        kind(f"{who} frozen for a while {when} {name}", FROZEN, (1, 3, 4))(frozen(name, when, resumed=True))
    for_good: list[tuple[str, When]] = [
        ("lock", "after"), ("PostgreSQL sink's rows", "before"), ("noting as forwarded", "before"),
        ("opening the transaction", "after"),
    ]  # fmt: skip
    for name, when in for_good:
        who = BOUNDARIES[name].function
        kind(f"{who} frozen for good {when} {name}", FROZEN, (1, 3, 4))(frozen(name, when, resumed=False))


def _abandoned() -> None:
    for name in ("PostgreSQL sink", "PostgreSQL sink's rows", "noting as forwarded", "merge and commit"):
        who = BOUNDARIES[name].function
        kind(f"{who} gone before {name} with its connections open", ABANDONED, (1, 4))(
            at(name, "before", "abandon", seconds=8.0)
        )


def _failing() -> None:
    failing: list[tuple[str, When, str]] = [
        ("opening batches", "after", _CONNECTION_LOST),
        ("reading a batch", "before", _CONNECTION_LOST),
        ("PostgreSQL sink", "after", "builtins:RuntimeError"),
        ("S3 sink", "before", "pgevents.errors:TransientError"),
        ("S3 sink", "after", "builtins:MemoryError"),
        ("forwarding", "before", "pgevents.errors:TransientError"),
        ("forwarding", "after", "builtins:RuntimeError"),
        ("noting as forwarded", "before", _CONNECTION_LOST),
        ("noting as forwarded", "after", _CONNECTION_LOST),
        ("rotation", "before", _CONNECTION_LOST),
        ("unlock", "before", _CONNECTION_LOST),
        ("last look", "before", _CONNECTION_LOST),
        ("acknowledging", "before", _CONNECTION_LOST),
        ("opening the transaction", "after", "builtins:RuntimeError"),
        ("merge and commit", "after", "builtins:RuntimeError"),
    ]
    for name, when, error in failing:
        who = BOUNDARIES[name].function
        kind(f"{who} fails {when} {name}", FAILING, (1, 3, 4))(at(name, when, "raise", error=error))


def _clocks() -> None:
    for words, seconds in (("an hour ahead", 3600.0), ("a day behind", -86_400.0)):
        kind(f"transform's clock {words}", CLOCKS, (1, 4))(
            at("opening batches", "before", "clock", seconds=seconds)
        )
        kind(f"writer's clock {words}", CLOCKS, (1, 4))(
            at("taking a batch", "before", "clock", seconds=seconds)
        )


_killed()
_frozen()
_abandoned()
_failing()
_clocks()
