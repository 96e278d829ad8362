"""What may happen between a caller and a Lambda: events lost, late, twice; time-outs, throttles, silence."""

import signal
from collections.abc import Generator
from random import Random

from bench.faults.arena import Arena
from bench.faults.kind import Attack, kind
from bench.faults.lambda_control import LambdaControl
from bench.faults.project import INVOKING, NOTIFYING
from local.lambda_service.faults import Fault

EVENTS = "Asynchronous events lost, late, twice, in another order"
SERVICE = "The Lambda service refuses, hangs, throttles, dies"

BATCH = '"kind":"batch"'
ANSWER = '"responsePayload"'
DOORBELL = '"doorbell"'


def _function(arena: Arena, name: str) -> LambdaControl:
    return arena.transform if name == "transform" else arena.writer


def ordered(function: str, **fault: object) -> Attack:
    """A fault of the service's own, from before the traffic until everything is applied."""

    def attack(arena: Arena, random: Random) -> Generator[None, None, int]:
        control = _function(arena, function)
        control.fault(Fault(seed=random.randrange(1 << 30), **fault))  # type: ignore[arg-type]
        yield
        yield
        yield
        return control.faults_struck()

    return attack


def configured(function: str, *, counted: str, **changes: object) -> Attack:
    """Another configuration for a while; `counted` is the count that it makes grow."""

    def attack(arena: Arena, random: Random) -> Generator[None, None, int]:
        control = _function(arena, function)
        usual = control.configuration()
        before = control.counts(counted)
        yield
        for _ in range(3):
            arena.sleep(random.uniform(0.1, 0.5))
            control.configure(**changes)
            arena.sleep(random.uniform(0.3, 0.9))
            control.configure(**{name: usual[name] for name in changes})
        yield
        yield
        return control.counts(counted) - before

    return attack


def _events() -> None:
    for function, contains, what in (
        ("writer", BATCH, "batches on their way to the writer"),
        ("transform", ANSWER, "the writer's answers"),
    ):
        for name, fault in (
            ("dropped", Fault(kind="drop", probability=0.5, count=6)),
            ("duplicated", Fault(kind="duplicate", probability=0.7)),
            ("delayed", Fault(kind="delay", probability=0.6, seconds=0.7)),
            ("reordered", Fault(kind="reorder", probability=0.6, seconds=0.5)),
        ):
            kind(f"{what} {name}", EVENTS, (1, 3, 4))(
                ordered(function, kind=fault.kind, probability=fault.probability, count=fault.count,
                        seconds=fault.seconds, contains=contains)
            )  # fmt: skip
    kind("every answer of the writer lost", EVENTS, (1, 4))(
        ordered("transform", kind="drop", contains=ANSWER, count=12)
    )
    kind("doorbells lost", EVENTS, (1,))(ordered("transform", kind="drop", contains=DOORBELL))
    kind("doorbells duplicated", EVENTS, (4,))(ordered("transform", kind="duplicate", contains=DOORBELL))


def _service() -> None:
    for status, error in ((500, "ServiceException"), (429, "TooManyRequestsException")):
        kind(f"Invoke API refuses batches with {status}", SERVICE, (1, 3, 4))(
            ordered("writer", kind="refuse", status=status, error=error, probability=0.5, count=8)
        )
    kind("Invoke API hangs for batches", SERVICE, (1, 3, 4))(
        ordered("writer", kind="hang", seconds=2.5, count=2)
    )
    kind("Invoke API refuses doorbells", SERVICE, (1, 5))(
        ordered("transform", kind="refuse", status=500, contains=DOORBELL, count=3)
    )
    kind("Invoke API hangs for doorbells", SERVICE, (1, 5))(
        ordered("transform", kind="hang", seconds=3.0, contains=DOORBELL, count=2)
    )
    kind("transform times out", SERVICE, (1, 3, 4))(configured("transform", counted="errors", timeout_s=0.04))
    kind("writer times out", SERVICE, (1, 3, 4))(configured("writer", counted="errors", timeout_s=0.01))
    kind("transform throttled to nothing", SERVICE, (1, 3))(
        configured("transform", counted="dead", reserved_concurrency=0)
    )
    kind("writer throttled to nothing", SERVICE, (1, 3))(
        configured("writer", counted="dead", reserved_concurrency=0)
    )


@kind("batches expire before the writer takes them", EVENTS, (1, 4))
def expired(arena: Arena, random: Random) -> Generator[None, None, int]:
    """Older than an event may grow, they become dead letters of Lambda's that nobody reads."""
    usual = arena.writer.configuration()["max_event_age_s"]
    before = arena.writer.counts("dead")
    arena.writer.fault(Fault(kind="delay", probability=0.7, seconds=0.4, seed=random.randrange(1 << 30)))
    arena.writer.configure(max_event_age_s=0.2)
    yield
    yield
    arena.writer.configure(max_event_age_s=usual)
    yield
    return arena.writer.counts("dead") - before


@kind("transform throttled to one", SERVICE, (1, 3))
def throttled(arena: Arena, random: Random) -> Generator[None, None, int]:
    """A drain holds the only slot; acknowledgements, sweeps and doorbells wait behind it."""
    before = arena.transform.counts("throttles")
    arena.transform.configure(reserved_concurrency=1)
    yield
    for _ in range(20):
        arena.transform.invoke({"kind": "sweep"})
    yield
    arena.transform.configure(reserved_concurrency=4)
    yield
    return arena.transform.counts("throttles") - before


@kind("several writers at once", SERVICE, (3, 4))
def several_writers(arena: Arena, random: Random) -> Generator[None, None, int]:
    """Batches are applied side by side, in any order, some of them twice."""
    usual = arena.writer.configuration()["reserved_concurrency"]
    arena.writer.configure(reserved_concurrency=6)
    arena.writer.fault(Fault(kind="duplicate", probability=0.6, seed=random.randrange(1 << 30)))
    arena.writer.fault(Fault(kind="delay", probability=0.5, seconds=0.3, seed=random.randrange(1 << 30)))
    yield
    yield
    yield
    arena.writer.configure(reserved_concurrency=usual)
    return arena.writer.faults_struck()


@kind("two drains at once", SERVICE, (3, 4))
def two_drains(arena: Arena, random: Random) -> Generator[None, None, int]:
    """Doorbells and sweeps start drains side by side, all the time."""
    sent = 0
    yield
    for _ in range(12):
        for source in (INVOKING, NOTIFYING):
            arena.transform.invoke({"kind": "doorbell", "source": source})
        arena.transform.invoke({"kind": "sweep"})
        sent += 1
        arena.sleep(random.uniform(0.01, 0.15))
    yield
    yield
    return sent


@kind("a drain's lock taken from it while it goes on", SERVICE, (3, 4))
def lock_taken(arena: Arena, random: Random) -> Generator[None, None, int]:
    """The session that holds a drain's lock is ended, and another drain started, while the first goes on."""
    taken = 0
    yield
    for _ in range(6):
        arena.sleep(random.uniform(0.05, 0.3))
        taken += len(
            arena.execute(
                arena.dsns[INVOKING],
                "select pg_terminate_backend(pid) from pg_locks"
                " where locktype = 'advisory' and classid = 1885828470",
            )
        )
        arena.transform.invoke({"kind": "doorbell", "source": INVOKING})
    yield
    yield
    return taken


@kind("Lambda service killed", SERVICE, (1, 3, 4))
def service_killed(arena: Arena, random: Random) -> Generator[None, None, int]:
    """Its queues of events are in memory and go with it."""
    yield
    arena.sleep(random.uniform(0.2, 1.5))
    arena.stack.functions.kill()
    arena.sleep(random.uniform(0.0, 0.5))
    arena.stack.functions.start()
    yield
    yield
    return 1


@kind("Lambda service frozen", SERVICE, (1, 5))
def service_frozen(arena: Arena, random: Random) -> Generator[None, None, int]:
    """Whoever invokes gets no answer until it goes on."""
    yield
    for _ in range(2):
        arena.sleep(random.uniform(0.1, 0.6))
        arena.stack.functions.signal(signal.SIGSTOP)
        arena.sleep(random.uniform(0.3, 1.2))
        arena.stack.functions.signal(signal.SIGCONT)
    yield
    yield
    return 2


@kind("busy Lambdas killed at random", SERVICE, (1, 3, 4))
def killed_at_random(arena: Arena, random: Random) -> Generator[None, None, int]:
    """Whatever they were doing at that moment."""
    killed = 0
    yield
    for _ in range(12):
        arena.sleep(random.uniform(0.05, 0.25))
        killed += random.choice((arena.transform, arena.writer)).signal(signal.SIGKILL)
    yield
    yield
    return killed


_events()
_service()
