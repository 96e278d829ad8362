"""Redshift that conflicts, hangs up before or after a COMMIT, refuses, restarts."""

from collections.abc import Generator
from random import Random

from bench.faults.arena import Arena
from bench.faults.kind import Attack, kind
from bench.faults.kinds.sources import CLIENTS
from local.redshift.faults import Fault, Kind

REDSHIFT = "Redshift conflicts, hangs up, refuses, restarts"


def ordered(fault_kind: Kind, match: str, *, count: int = 2, skip: int = 2, seconds: float = 0.0) -> Attack:
    """Orders a fault of the stand-in at statements that the seed chooses among the first few."""

    def attack(arena: Arena, random: Random) -> Generator[None, None, int]:
        for _ in range(3):
            arena.redshift.arm(
                Fault(
                    kind=fault_kind,
                    match=match,
                    skip=random.randint(0, skip),
                    count=count,
                    seconds=seconds,
                    seed=random.randrange(1 << 30),
                    probability=0.8,
                )
            )
        yield
        yield
        yield
        return arena.redshift.clear()

    return attack


for _name, _attack in {
    "error 1023 at COMMIT": ordered("serialization", "^commit"),
    "error 1023 at a merge": ordered("serialization", "^(delete|insert)", skip=20),
    "error 1023 again and again": ordered("serialization", "^commit", count=9, skip=0),
    "snapshot conflict at COMMIT": ordered("snapshot_conflict", "^commit"),
    "snapshot conflict at a merge": ordered("snapshot_conflict", "^(delete|insert)", skip=20),
    "Redshift hangs up before COMMIT": ordered("drop_before", "^commit"),
    "Redshift hangs up after COMMIT": ordered("drop_after", "^commit"),
    "Redshift hangs up in the midst of a merge": ordered("drop_before", "^(delete|insert|create)", skip=20),
    "Redshift hangs up after a statement": ordered(
        "drop_after", "^(begin|lock|delete|insert|create)", skip=20
    ),
    "Redshift is slow at COMMIT": ordered("delay", "^commit", seconds=0.8),
    "Redshift is slower than the writer's time limit": ordered("delay", "^commit", count=1, seconds=6.0),
}.items():
    kind(_name, REDSHIFT, (1, 3, 4))(_attack)


@kind("Redshift refuses connections", REDSHIFT, (1, 3, 4))
def refused(arena: Arena, random: Random) -> Generator[None, None, int]:
    """For a while nobody gets in, and those who were in are sent away."""
    yield
    for _ in range(3):
        arena.sleep(random.uniform(0.05, 0.4))
        arena.redshift.arm(Fault(kind="refuse_connection", count=random.randint(1, 4)))
        arena.execute(arena.behind_redshift_dsn, CLIENTS)
    yield
    yield
    return arena.redshift.clear()


@kind("Redshift refuses connections after one was cut", REDSHIFT, (1, 3, 4))
def refused_after_cut(arena: Arena, random: Random) -> Generator[None, None, int]:
    """The warm connection breaks at COMMIT, and the next ones are not taken."""
    arena.redshift.arm(Fault(kind="drop_after", match="^commit", skip=random.randint(0, 3)))
    yield
    arena.redshift.arm(Fault(kind="refuse_connection", count=5))
    yield
    yield
    return arena.redshift.clear()


@kind("Redshift restarted", REDSHIFT, (1, 3, 4))
def restarted(arena: Arena, random: Random) -> Generator[None, None, int]:
    """Every session ends; nobody answers for a while."""
    yield
    arena.sleep(random.uniform(0.1, 1.0))
    arena.stack.redshift.kill()
    arena.sleep(random.uniform(0.0, 0.8))
    arena.stack.redshift.start()
    yield
    yield
    return 1


@kind("the server under Redshift crashed", REDSHIFT, (1, 3, 4))
def crashed(arena: Arena, random: Random) -> Generator[None, None, int]:
    """Whatever had not been committed is gone."""
    yield
    arena.sleep(random.uniform(0.1, 1.0))
    arena.stack.redshift_server.stop("immediate")
    arena.sleep(random.uniform(0.0, 0.5))
    arena.stack.redshift_server.start()
    yield
    yield
    return 1


@kind("Redshift's sessions cut", REDSHIFT, (1, 3, 4))
def cut(arena: Arena, random: Random) -> Generator[None, None, int]:
    """Wherever they happen to be."""
    ended = 0
    yield
    for _ in range(15):
        arena.sleep(random.uniform(0.01, 0.2))
        ended += len(
            arena.execute(
                arena.behind_redshift_dsn,
                CLIENTS,
            )
        )
    yield
    yield
    return ended
