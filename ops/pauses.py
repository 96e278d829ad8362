"""Pausing a source or a sink, and letting it go on: what the sources know of it."""

import contextlib
from collections.abc import Iterator

import msgspec
import psycopg

from ops.endpoints import Endpoints, connect
from ops.status import ledger
from pgevents.config import Pipeline
from pgevents.errors import InputError

SOURCE = "source"
"""What `pgevents.paused` calls a source that is paused as a whole."""


class Place(msgspec.Struct, frozen=True):
    """What to pause: a source or a sink, under which name, and in which sources."""

    what: str
    name: str
    sources: tuple[str, ...]


class Before(msgspec.Struct, frozen=True):
    """A pause that there was already."""

    by: str
    reason: str


def place(pipeline: Pipeline, name: str) -> Place:
    """What a name of pipeline.toml means. A sink is paused in every source that routes to it.

    Raises InputError for a name that is not there, or is there twice.
    """
    if name in pipeline.sources and name in pipeline.sinks:
        raise InputError(f"{name!r} is a source and a sink in pipeline.toml; give one of them another name")
    if name in pipeline.sources:
        return Place(SOURCE, name, (name,))
    if name in pipeline.sinks and name != SOURCE:
        routing = {route.table.split(".", 1)[0] for route in pipeline.routes if name in route.sinks}
        return Place(name, name, tuple(source for source in pipeline.sources if source in routing))
    known = ", ".join([*pipeline.sources, *pipeline.sinks])
    raise InputError(f"{name!r} is neither a source nor a sink in pipeline.toml; expected one of {known}")


@contextlib.contextmanager
def reached(place: Place, endpoints: Endpoints) -> Iterator[dict[str, psycopg.Connection]]:
    """Connections to all of its sources. Raises InputError when one cannot be reached or is not captured."""
    with contextlib.ExitStack() as opened:
        connections = {
            source: opened.enter_context(connect(source, endpoints.source(source)))
            for source in place.sources
        }
        for source, connection in connections.items():
            ledger.require_installed(source, connection)
        yield connections


def pause(connection: psycopg.Connection, what: str, by: str, reason: str) -> Before | None:
    """Pauses it; the pause that there was already, which stays as it is."""
    made = connection.execute(
        "insert into pgevents.paused (what, paused_by, reason) values (%s, %s, %s)"
        " on conflict (what) do nothing returning true",
        (what, by, reason),
    ).fetchone()
    if made:
        return None
    row = connection.execute(
        "select paused_by, reason from pgevents.paused where what = %s", (what,)
    ).fetchone()
    return Before(*row) if row else None


def resume(connection: psycopg.Connection, what: str) -> bool:
    """Lets it go on and wakes the drain; False when it was not paused."""
    gone = connection.execute("delete from pgevents.paused where what = %s", (what,)).rowcount == 1
    connection.execute("select pgevents.wake_drain()")
    return gone


def held(connection: psycopg.Connection, sink: str) -> int:
    """How many batches wait for a sink."""
    query = "select count(*) from pgevents.batch where state = 'held' and %s = any (held_for)"
    return int(connection.execute(query, (sink,)).fetchall()[0][0])
