"""A source database restarted, crashed, cut off; its doorbell broken; its ledger's times wrong."""

import signal
from collections.abc import Generator
from random import Random
from typing import Literal

from bench.faults.arena import Arena
from bench.faults.kind import Attack, kind
from bench.faults.project import INVOKING, NOTIFYING
from local import aws_extensions
from local.postgres.server import StopMode

SOURCE = "Source database restarted, crashed, cut off"
DOORBELL = "Doorbell broken"
CLOCKS = "Clocks that step"

_PIPELINE = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgevents'"
CLIENTS = """
select pg_terminate_backend(pid) from pg_stat_activity
where backend_type = 'client backend' and datname = current_database() and pid <> pg_backend_pid()
"""


def restarted(mode: StopMode | Literal["kill"]) -> Attack:
    """Stops a source in the midst of traffic, and starts it again after a moment."""

    def attack(arena: Arena, random: Random) -> Generator[None, None, int]:
        server = arena.stack.sources[random.choice((INVOKING, NOTIFYING))]
        yield
        arena.sleep(random.uniform(0.2, 1.5))
        if mode == "kill":
            server.kill()
        else:
            server.stop(mode)
        arena.sleep(random.uniform(0.0, 0.6))
        server.start()
        yield
        arena.bring_back()  # a relay ends with its source
        yield
        return 1

    return attack


kind("source restarted", SOURCE, (1, 2, 3, 4))(restarted("fast"))
kind("source crashed (stop immediate)", SOURCE, (1, 2, 3, 4))(restarted("immediate"))
kind("source killed (SIGKILL)", SOURCE, (1, 2, 3, 4))(restarted("kill"))


def cut(query: str, times: int) -> Attack:
    """Ends sessions in a source, again and again."""

    def attack(arena: Arena, random: Random) -> Generator[None, None, int]:
        ended = 0
        yield
        for _ in range(times):
            arena.sleep(random.uniform(0.02, 0.3))
            ended += len(arena.execute(arena.dsns[random.choice((INVOKING, NOTIFYING))], query))
        yield
        arena.bring_back()
        yield
        return ended

    return attack


kind("the pipeline's connections to a source cut", SOURCE, (1, 3, 4))(cut(_PIPELINE, 12))
kind("every connection to a source cut", SOURCE, (1, 2, 3, 4))(cut(CLIENTS, 5))


@kind("source frozen", SOURCE, (1, 3, 4))
def frozen(arena: Arena, random: Random) -> Generator[None, None, int]:
    """All of its processes stand still for a while, and its clients wait."""
    server = arena.stack.sources[random.choice((INVOKING, NOTIFYING))]
    yield
    arena.sleep(random.uniform(0.2, 1.0))
    found = arena.execute(server.dsn(), "select pid from pg_stat_activity where pid <> pg_backend_pid()")
    arena.signal((pid for (pid,) in found), signal.SIGSTOP)
    arena.sleep(random.uniform(0.5, 2.0))
    arena.signal((pid for (pid,) in found), signal.SIGCONT)
    yield
    yield
    return len(found)


@kind("a transaction stays open over the whole run", SOURCE, (1, 2))
def open_transaction(arena: Arena, random: Random) -> Generator[None, None, int]:
    """Its number is older than everybody's, and its events come last."""
    with arena.sql(arena.dsns[INVOKING]) as connection:
        connection.execute("begin")
        connection.execute("set local traffic.tx = 'long'")
        connection.execute("insert into journal (tx, writer, number, note) values ('long', 0, 0, 'long')")
        yield
        arena.sleep(random.uniform(0.5, 2.0))
        connection.execute(random.choice(("commit", "rollback")))
        yield
    yield
    return 1


def broken_doorbell(fault: aws_extensions.Fault) -> Attack:
    """aws_lambda.invoke fails in one of its ways while the application writes."""

    def attack(arena: Arena, random: Random) -> Generator[None, None, int]:
        failed = "select last_value from pgevents.doorbell_failed"
        [(before,)] = arena.execute(arena.dsns[INVOKING], failed)
        unmute(arena)
        with arena.sql(arena.dsns[INVOKING]) as connection:
            aws_extensions.inject(connection, fault)
        yield
        yield
        with arena.sql(arena.dsns[INVOKING]) as connection:
            aws_extensions.inject(connection, None)
        yield
        [(after,)] = arena.execute(arena.dsns[INVOKING], failed)
        unmute(arena)
        return int(after - before)

    return attack


def unmute(arena: Arena) -> None:
    """Lets the doorbell ring again: it stays quiet for half a minute after a failure."""
    arena.execute(arena.dsns[INVOKING], "select setval('pgevents.doorbell_muted_until', 0)")


kind("doorbell raises an error", DOORBELL, (1, 5))(broken_doorbell("error"))
kind("doorbell hangs", DOORBELL, (1, 5))(broken_doorbell("hang"))
kind("doorbell's function is missing", DOORBELL, (1, 5))(broken_doorbell("missing"))


@kind("relay killed", DOORBELL, (1,))
def relay_killed(arena: Arena, random: Random) -> Generator[None, None, int]:
    """Notifications of that time are lost with it."""
    yield
    arena.sleep(random.uniform(0.1, 1.0))
    arena.relay.kill()
    yield
    arena.relay.start()
    yield
    return 1


@kind("relay frozen", DOORBELL, (1, 5))
def relay_frozen(arena: Arena, random: Random) -> Generator[None, None, int]:
    """It reads no notifications, and its server keeps them for it."""
    yield
    arena.relay.signal(signal.SIGSTOP)
    arena.sleep(random.uniform(0.5, 2.0))
    yield
    arena.relay.signal(signal.SIGCONT)
    yield
    return 1


@kind("ledger's times a day ahead", CLOCKS, (1,))
def ledger_ahead(arena: Arena, random: Random) -> Generator[None, None, int]:
    """The source's clock was ahead when batches were forwarded, and their answers are lost."""
    moved = 0
    arena.lose_answers(8)
    yield
    for _ in range(10):
        arena.sleep(random.uniform(0.05, 0.2))
        for dsn in arena.dsns.values():
            moved += len(
                arena.execute(
                    dsn,
                    "update pgevents.batch set forwarded_at = forwarded_at + interval '1 day'"
                    " where state = 'forwarded' and forwarded_at < clock_timestamp() returning 1",
                )
            )
    yield
    yield
    return moved


@kind("ledger's times a day behind", CLOCKS, (1, 4))
def ledger_behind(arena: Arena, random: Random) -> Generator[None, None, int]:
    """Every forwarded batch looks overdue at once, and is sent again and again."""
    moved = 0
    yield
    for _ in range(10):
        arena.sleep(random.uniform(0.05, 0.2))
        for dsn in arena.dsns.values():
            moved += len(
                arena.execute(
                    dsn,
                    "update pgevents.batch set forwarded_at = forwarded_at - interval '1 day'"
                    " where state = 'forwarded' returning 1",
                )
            )
        arena.transform.invoke({"kind": "sweep"})
    yield
    yield
    return moved


@kind("doorbell muted for a year by a clock", CLOCKS, (1,))
def muted(arena: Arena, random: Random) -> Generator[None, None, int]:
    """The source's clock was ahead when a ring failed."""
    arena.execute(
        arena.dsns[INVOKING],
        "select setval('pgevents.doorbell_muted_until', extract(epoch from now())::bigint + 31536000)",
    )
    yield
    yield
    yield
    unmute(arena)
    return 1
