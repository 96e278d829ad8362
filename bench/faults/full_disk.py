"""A sink's disk that is full: the kernel's own ENOSPC, without filling anybody's disk.

A table that every batch writes to, through a trigger on the token's table, has /dev/full for its file: the
server extends it, the kernel says ENOSPC, the server says 53100 and undoes the batch.
"""

from pathlib import Path

import psycopg

from bench.faults.kind import DidNotStrike

_TRIGGER = """
create table if not exists public.attack_full (filler text);
create or replace function public.attack_fill() returns trigger language plpgsql as $$
begin
    insert into public.attack_full values (repeat('x', 100));
    return null;
end $$;
"""
_ARMED = """
create trigger attack_fill after insert on pgevents_applied_batch
    for each statement execute function public.attack_fill()
"""


def fill(dsn: str, data: Path) -> None:
    """From now on every batch meets a full disk. `data` is the server's folder."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        if connection.execute("select to_regclass('pgevents_applied_batch')").fetchone() == (None,):
            raise DidNotStrike("the sink has no tables yet")
        connection.execute(_TRIGGER)
        found = connection.execute("select pg_relation_filepath('public.attack_full')").fetchone()
        if found is None:
            raise DidNotStrike("the sink's table has no file")
        connection.execute("checkpoint")
    file = data / str(found[0])
    file.unlink()
    file.symlink_to("/dev/full")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_ARMED)


def make_room(dsn: str) -> None:
    """There is room again."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("drop function if exists public.attack_fill() cascade")
        connection.execute("drop table if exists public.attack_full")


def refusals(log: Path) -> int:
    """How often the server has said that its disk is full, since it was started."""
    return log.read_text(errors="replace").count("No space left on device")
