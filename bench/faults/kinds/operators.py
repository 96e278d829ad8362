"""Faults while an operator does something: pauses, resumes, backfills, restores a source from a copy."""

import shutil
import signal
from collections.abc import Generator
from random import Random

from bench.faults.arena import Arena
from bench.faults.kind import Attack, kind
from bench.faults.project import INVOKING, NOTIFYING
from bench.faults.traffic.tables import TABLES
from ops import pauses
from pgevents.config import PostgresSink, RedshiftSink, S3Sink, Sink

OPERATORS = "Paused, resumed, backfilled, restored meanwhile"
_UNFINISHED = "select count(*) from pgevents.snapshot_request where state in ('waiting', 'running')"
_REQUEST_SECONDS = 40.0


def paused(what: type[Sink] | None) -> Attack:
    """Pauses a sink of a kind, or a source; kills Lambdas meanwhile; resumes."""

    def attack(arena: Arena, random: Random) -> Generator[None, None, int]:
        name = pauses.SOURCE if what is None else next(iter(arena.pipeline.sinks_of(what)))
        dsns = (
            [arena.dsns[random.choice((INVOKING, NOTIFYING))]] if what is None else list(arena.dsns.values())
        )
        yield
        for _ in range(2):
            arena.sleep(random.uniform(0.1, 0.5))
            for dsn in dsns:
                with arena.sql(dsn) as connection:
                    pauses.pause(connection, name, "attack", "to see what happens")
            arena.sleep(random.uniform(0.2, 0.8))
            random.choice((arena.transform, arena.writer)).signal(signal.SIGKILL)
            for dsn in dsns:
                with arena.sql(dsn) as connection:
                    pauses.resume(connection, name)
        yield
        yield
        return 2

    return attack


kind("PostgreSQL sink paused and resumed while Lambdas are killed", OPERATORS, (1, 3, 4))(
    paused(PostgresSink)
)
kind("S3 sink paused and resumed while Lambdas are killed", OPERATORS, (1, 3, 4))(paused(S3Sink))
kind("Redshift paused and resumed while Lambdas are killed", OPERATORS, (1, 3, 4))(paused(RedshiftSink))
kind("a source paused and resumed while Lambdas are killed", OPERATORS, (1, 3, 4))(paused(None))


def snapshots(of: str) -> Attack:
    """Has every table sent once more while it is written, and kills the transform in the midst of it."""

    def attack(arena: Arena, random: Random) -> Generator[None, None, int]:
        killed = 0
        yield
        arena.sleep(random.uniform(0.3, 1.0))
        for dsn in arena.dsns.values():
            for table in random.sample(TABLES, len(TABLES)):
                arena.execute(
                    dsn,
                    "select pgevents.request_snapshot(%s, %s, null, 'attack')",
                    f"public.{table.name}",
                    of,
                )
        for _ in range(5):
            arena.sleep(random.uniform(0.05, 0.3))
            killed += arena.transform.signal(signal.SIGKILL)
        yield
        for dsn in arena.dsns.values():
            arena.until(lambda dsn=dsn: arena.execute(dsn, _UNFINISHED) == [(0,)], _REQUEST_SECONDS)
        yield
        left = sum(int(arena.execute(dsn, _UNFINISHED)[0][0]) for dsn in arena.dsns.values())
        if left:
            raise RuntimeError(f"{left} snapshots were never finished")
        return 1 + killed

    return attack


kind("backfill of every table while the transform is killed", OPERATORS, (1, 3, 4, 9), witness="snapshots")(
    snapshots("backfill")
)
kind("baseline of every table while the transform is killed", OPERATORS, (1, 3, 4, 9), witness="snapshots")(
    snapshots("baseline")
)


@kind("a source restored from a copy", OPERATORS, (1, 3, 4, 10), witness="rows")
def restored(arena: Arena, random: Random) -> Generator[None, None, int]:
    """The server goes back to what it was before the traffic; sinks know what it does not any more."""
    server = arena.stack.sources[INVOKING]
    copy = server.data.with_name("a copy")
    server.stop()
    shutil.copytree(server.data, copy, symlinks=True)
    server.start()
    yield
    yield
    server.stop()
    shutil.rmtree(server.data)
    copy.rename(server.data)
    server.start()
    with arena.sql(arena.dsns[INVOKING]) as connection:
        for number in range(random.randint(1, 30)):
            with connection.transaction():
                connection.execute("set local traffic.tx = 'restored'")
                connection.execute(
                    "insert into account (id, note) values (%s, 'after it was restored') on conflict (id)"
                    " do update set note = excluded.note",
                    (random.randint(1, 40) + number,),
                )
    arena.until(
        lambda: arena.execute(arena.dsns[INVOKING], "select count(*) > 1 from pgevents.epoch") == [(True,)],
        10.0,
    )
    arena.until(lambda: arena.execute(arena.dsns[INVOKING], _UNFINISHED) == [(0,)], _REQUEST_SECONDS)
    yield
    [(epochs,)] = arena.execute(arena.dsns[INVOKING], "select count(*) from pgevents.epoch")
    return int(epochs) - 1
