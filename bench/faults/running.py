"""One run: empty tables, a fault, traffic, recovery, a verdict."""

import contextlib
import time
from collections.abc import Generator, Iterator
from random import Random

import psycopg

from bench.faults.arena import Arena
from bench.faults.kind import DidNotStrike, Kind
from bench.faults.result import Result
from bench.faults.traffic.record import Record
from bench.faults.traffic.running import Load, Traffic
from bench.faults.traffic.tables import TABLES
from bench.faults.verdict import Verdict, judge
from ops.status.waiting import wait_until_applied

CHANGES = 400
WRITERS = 2
PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 60.0


class Clock:
    """Where the time of a run goes."""

    def __init__(self) -> None:
        self.phases: dict[str, float] = {}

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.phases[name] = round(self.phases.get(name, 0.0) + time.monotonic() - began, 3)


def attack(arena: Arena, kind: Kind, seed: int, again: int = 0) -> Result:
    """Runs one kind of fault with one seed on a stack that is at rest, and leaves it at rest again.

    `again` counts the tries of a fault that did not strike: each strikes at moments of its own. The stack is
    not to be used any more after a run that was not `held`.
    """
    clock = Clock()
    with clock.phase("reset"):
        since = reset(arena)
    faults = kind.attack(arena, Random(f"{kind.name} {seed} {again}"))
    try:
        record, struck = _run(arena, kind, seed, faults, clock)
        with clock.phase("verdict"):
            verdict = judge(arena, record, since, kind.witness)
    finally:
        faults.close()
    with clock.phase("clear"):
        arena.clear()
    return _result(kind, seed, record, struck, verdict, clock)


def _run(
    arena: Arena, kind: Kind, seed: int, faults: Generator[None, None, int], clock: Clock
) -> tuple[Record, int]:
    struck: int | None = None

    def go_on() -> None:
        nonlocal struck
        if struck is None:
            try:
                next(faults)
            except StopIteration as end:
                struck = int(end.value)

    load = Load(
        changes=CHANGES, writers=WRITERS, pause_seconds=PAUSE_SECONDS, patience_seconds=PATIENCE_SECONDS
    )
    with clock.phase("arm"):
        go_on()
    traffic = Traffic(arena.dsns, seed, load)
    with clock.phase("traffic"):
        traffic.start()
        go_on()
        record = traffic.finish()
    with clock.phase("heal"):
        go_on()
    with clock.phase("recovery"):
        wait_until_applied(arena.dsns, PATIENCE_SECONDS)
    go_on()
    return record, struck or 0


def _result(kind: Kind, seed: int, record: Record, struck: int, verdict: Verdict, clock: Clock) -> Result:
    if verdict.harm:
        outcome = "broken"
    elif struck == 0:
        outcome = "did not strike"
    else:
        outcome = "held"
    return Result(
        kind=kind.name,
        seed=seed,
        outcome=outcome,  # type: ignore[arg-type]
        struck=struck,
        changes=record.total(),
        harm=verdict.harm,
        details=verdict.details,
        phases=clock.phases,
    )


def reset(arena: Arena) -> dict[str, int]:
    """Empties the tables, the archive, the histories and the record; each source's last batch.

    By a TRUNCATE of the application's, so that every version decided until then stays behind.
    """
    names = ", ".join(table.name for table in TABLES)
    for dsn in arena.dsns.values():
        with arena.sql(dsn) as connection, connection.transaction():
            connection.execute("set local traffic.tx = 'reset'")
            connection.execute(f"truncate {names}".encode())
            connection.execute("truncate traffic.change")
            # A ring that failed in the last run keeps the doorbell quiet for half a minute.
            connection.execute("select setval('pgevents.doorbell_muted_until', 0)")
    if not wait_until_applied(arena.dsns, PATIENCE_SECONDS).everything_applied:
        raise DidNotStrike("the stack did not come to rest before the run")
    # A sweep may be about to send a batch again whose answer has just come.
    if not arena.until(arena.is_idle, PATIENCE_SECONDS):
        raise DidNotStrike("the Lambdas did not come to rest before the run")
    arena.delete_objects()
    for dsn in (arena.sink_dsn, arena.behind_redshift_dsn):
        _empty_histories(dsn)
    last: dict[str, int] = {}
    for source, dsn in arena.dsns.items():
        [(last[source],)] = arena.execute(dsn, "select coalesce(max(batch_id), 0) from pgevents.batch")
    return last


def _empty_histories(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = connection.execute(
            "select quote_ident(relname) from pg_class where relkind = 'r' and relname like '%\\_history'"
        ).fetchall()
        if found:
            connection.execute(f"truncate {', '.join(name for (name,) in found)}".encode())
