"""The PostgreSQL sink restarted, crashed, cut off, locked, full."""

import signal
from collections.abc import Generator
from random import Random
from typing import Literal

from bench.faults import full_disk
from bench.faults.arena import Arena
from bench.faults.kind import Attack, kind
from local.postgres.server import StopMode

SINK = "PostgreSQL sink restarted, cut off, locked, full"


def restarted(mode: StopMode | Literal["kill"]) -> Attack:
    """Stops the sink's server in the midst of batches, and starts it again after a moment."""

    def attack(arena: Arena, random: Random) -> Generator[None, None, int]:
        server = arena.stack.sink_server
        yield
        arena.sleep(random.uniform(0.2, 1.2))
        if mode == "kill":
            server.kill()
        else:
            server.stop(mode)
        arena.sleep(random.uniform(0.0, 0.8))
        server.start()
        yield
        yield
        return 1

    return attack


kind("PostgreSQL sink restarted", SINK, (1, 3, 4))(restarted("fast"))
kind("PostgreSQL sink crashed (stop immediate)", SINK, (1, 3, 4))(restarted("immediate"))
kind("PostgreSQL sink killed (SIGKILL)", SINK, (1, 3, 4))(restarted("kill"))


@kind("connections to the PostgreSQL sink cut", SINK, (1, 3, 4))
def cut(arena: Arena, random: Random) -> Generator[None, None, int]:
    """Between statements, within a transaction, at its COMMIT: wherever it happens to be."""
    ended = 0
    yield
    for _ in range(15):
        arena.sleep(random.uniform(0.01, 0.2))
        ended += len(
            arena.execute(
                arena.sink_dsn,
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgevents'",
            )
        )
    yield
    yield
    return ended


@kind("PostgreSQL sink takes no connections", SINK, (1, 3))
def refusing(arena: Arena, random: Random) -> Generator[None, None, int]:
    """Neither a new one nor one that was open."""
    database = arena.stack.sinks[0]
    server = arena.stack.sink_server.dsn()
    yield
    arena.sleep(random.uniform(0.1, 0.5))
    arena.execute(server, f"alter database {database} allow_connections false")
    ended = arena.execute(
        server, f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'"
    )
    arena.sleep(random.uniform(0.5, 1.5))
    arena.execute(server, f"alter database {database} allow_connections true")
    yield
    yield
    return 1 + len(ended)


@kind("a target of the PostgreSQL sink locked by somebody", SINK, (1, 3))
def locked(arena: Arena, random: Random) -> Generator[None, None, int]:
    """A migration, a VACUUM FULL: the batch waits, and the drain with it."""
    with arena.sql(arena.sink_dsn) as connection:
        tables = connection.execute(
            "select quote_ident(relname) from pg_class"
            " where relkind = 'r' and relname in ('shop_account', 'office_account')"
        ).fetchall()
        yield
        arena.sleep(random.uniform(0.1, 0.5))
        connection.execute("begin")
        for (table,) in tables:
            connection.execute(f"lock table {table} in access exclusive mode".encode())
        arena.sleep(random.uniform(0.5, 2.0))
        connection.execute("rollback")
        yield
    yield
    return len(tables)


@kind("disk full on the PostgreSQL sink", SINK, (1, 3, 4))
def disk_full(arena: Arena, random: Random) -> Generator[None, None, int]:
    """Writes fail with 53100 in the midst of a batch's transaction, until somebody makes room."""
    yield
    arena.sleep(random.uniform(0.05, 0.5))
    full_disk.fill(arena.sink_dsn, arena.stack.sink_server.data)
    arena.sleep(random.uniform(0.5, 1.5))
    yield
    struck = full_disk.refusals(arena.stack.sink_server.log)
    full_disk.make_room(arena.sink_dsn)
    yield
    return struck


@kind("PostgreSQL sink frozen", SINK, (1, 3, 4))
def frozen(arena: Arena, random: Random) -> Generator[None, None, int]:
    """Its sessions stand still in the midst of whatever they do."""
    yield
    arena.sleep(random.uniform(0.2, 1.0))
    query = "select pid from pg_stat_activity where application_name = 'pgevents'"
    found = arena.execute(arena.sink_dsn, query)
    arena.signal((pid for (pid,) in found), signal.SIGSTOP)
    arena.sleep(random.uniform(0.5, 2.0))
    arena.signal((pid for (pid,) in found), signal.SIGCONT)
    yield
    yield
    return len(found)
