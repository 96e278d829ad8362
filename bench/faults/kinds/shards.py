"""Sources in shards: Lambdas take a backlog side by side, and some of them do not come, end, or hang."""

from collections.abc import Generator
from random import Random

from bench.faults.arena import Arena
from bench.faults.kind import Attack, kind
from bench.faults.kinds.invokes import configured, killed_at_random, ordered, two_drains
from bench.faults.kinds.operators import paused, restored, snapshots
from bench.faults.kinds.steps import at, frozen
from bench.faults.project import INVOKING, NOTIFYING
from pgevents.config import PostgresSink

IN_SHARDS = "Sources in shards: Lambdas that do not come, end, hang"
CALL = '"kind":"shard"'

_SHARDS = 3


def _kind(name: str, promises: tuple[int, ...], attack: Attack, **named: object) -> None:
    kind(f"in shards: {name}", IN_SHARDS, promises, shards=_SHARDS, **named)(attack)  # type: ignore[arg-type]


def _calls() -> None:
    _kind("calls lost", (1, 3), ordered("transform", kind="drop", contains=CALL, probability=0.7))
    _kind(
        "Invoke API hangs for calls", (1, 3),
        ordered("transform", kind="hang", seconds=3.0, contains=CALL, count=2),
    )  # fmt: skip
    _kind("calls duplicated", (3, 4), ordered("transform", kind="duplicate", contains=CALL))
    _kind(
        "calls delayed",
        (3, 4),
        ordered("transform", kind="delay", contains=CALL, seconds=0.7, probability=0.7),
    )
    _kind(
        "Invoke API refuses calls", (1, 3),
        ordered("transform", kind="refuse", status=429, error="TooManyRequestsException", contains=CALL,
                probability=0.7),
    )  # fmt: skip


def _steps() -> None:
    _kind(
        "the drain killed when it has looked for shards", (1, 3, 4), at("looking for shards", "after", "kill")
    )
    _kind(
        "a drain killed when it has a shard's lock", (1, 3, 4), at("taking a shard's lock", "after", "kill")
    )
    _kind(
        "a drain killed before it lets go of a shard's lock", (1, 3, 4),
        at("letting go of a shard's lock", "before", "kill"),
    )  # fmt: skip
    _kind(
        "a drain killed when it has let go of a shard's lock", (1, 3, 4),
        at("letting go of a shard's lock", "after", "kill"),
    )  # fmt: skip
    _kind(
        "a drain frozen for a while with a shard's lock", (1, 3, 4),
        frozen("taking a shard's lock", "after", resumed=True),
    )  # fmt: skip
    _kind(
        "a drain frozen for good with a shard's lock", (1, 3, 4),
        frozen("taking a shard's lock", "after", resumed=False),
    )  # fmt: skip
    _kind(
        "a drain gone with a shard's lock and its connections open", (1, 4),
        at("taking a shard's lock", "after", "abandon", seconds=8.0),
    )  # fmt: skip
    for step in ("reading a batch", "PostgreSQL sink", "forwarding", "noting as forwarded"):
        _kind(f"transform killed before {step}", (1, 3, 4), at(step, "before", "kill"))


def _others() -> None:
    _kind("busy Lambdas killed at random", (1, 3, 4), killed_at_random)
    _kind("transform times out", (1, 3, 4), configured("transform", counted="errors", timeout_s=0.04))
    _kind("two drains at once", (3, 4), two_drains)
    _kind("PostgreSQL sink paused and resumed while Lambdas are killed", (1, 3, 4), paused(PostgresSink))
    _kind("a source paused and resumed while Lambdas are killed", (1, 3, 4), paused(None))
    _kind("baseline of every table while the transform is killed", (1, 3, 4, 9), snapshots("baseline"),
          witness="snapshots")  # fmt: skip
    _kind("a source restored from a copy", (1, 3, 4, 10), restored, witness="rows")


def lock_taken(arena: Arena, random: Random) -> Generator[None, None, int]:
    """The sessions that hold locks of shards are ended, and other drains of these started meanwhile."""
    taken = 0
    yield
    for _ in range(40):
        arena.sleep(random.uniform(0.02, 0.1))
        for source in (INVOKING, NOTIFYING):
            held = arena.execute(
                arena.dsns[source],
                "select objid::bigint::integer, pg_terminate_backend(pid) from pg_locks"
                " where locktype = 'advisory' and classid = 1885828473",
            )
            taken += len(held)
            for shard, _ in held:
                arena.transform.invoke({"kind": "shard", "source": source, "shard": shard})
    yield
    yield
    return taken


_calls()
_steps()
_others()
_kind("locks taken from drains that go on", (3, 4), lock_taken)
