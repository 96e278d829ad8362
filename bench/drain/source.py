"""A source with a captured table, and beside it an outbox of jsonb with the same events."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from bench.measure.processor import used
from db_triggers.installer import Wake, install
from local.postgres import PostgresServer, free_port
from pgevents.config import Source, Table
from transform.connections import SOURCE_SESSION
from transform.source.outbox import Outbox

NAME = "bench"
"""No name of pipeline.toml's: nobody's transform is for its tables."""
TABLE = "public.account"
_WAKE = Wake("transform", "eu-west-1")

_SCHEMA = """
create table account (
    account_id bigint primary key, email text not null, organisation text, balance numeric(12, 2) not null,
    is_open boolean not null, plan smallint not null, score double precision, reference uuid not null,
    born date, seen_at timestamptz not null, extra jsonb, note text
);
create table naive_outbox (id bigint generated always as identity primary key, event jsonb not null);
"""
_INSERT = """
insert into account
select
    g, 'user' || g || '@example.org', 'Organisation ' || g %% 997, g %% 100000 / 100.0, g %% 3 = 0, g %% 7,
    g / 7.0::float8, md5(g::text)::uuid, date '1970-01-01' + (g %% 20000)::integer,
    timestamptz '2026-01-01' + g * interval '1 second',
    jsonb_build_object('tier', g %% 5, 'tags', jsonb_build_array('a', 'b')),
    case when g %% 2 = 0 then 'a note of some words ' || g end
from generate_series(%(first)s::bigint, %(last)s::bigint) as g
"""
_UPDATE = """
update account set balance = balance + 1, seen_at = seen_at + interval '1 hour'
where account_id between %(first)s and %(last)s
"""
_DELETE = "delete from account where account_id between %(first)s and %(last)s"
# As a trigger with to_jsonb writes them: half of them inserts, four tenths updates, the rest deletes.
_NAIVE = """
insert into naive_outbox (event)
select
    jsonb_build_object(
        'event_type',
        case when account_id %% 10 < 5 then 'INSERT' when account_id %% 10 < 9 then 'UPDATE' else 'DELETE'
        end,
        'source', 'bench.public.account', 'payload', to_jsonb(a),
        'before', case when account_id %% 10 >= 5 then to_jsonb(a) end, 'captured_at', clock_timestamp()
    )
from (select * from account limit %(events)s) as a
"""
_CHUNK = 50_000


class Bed(NamedTuple):
    """A source: a connection of the application's, one of the drain's, and the server's version."""

    app: psycopg.Connection[Any]
    reader: psycopg.Connection[Any]
    version: str

    @property
    def outbox(self) -> Outbox:
        """The source's outbox, as the drain uses it."""
        return Outbox(NAME, self.reader)


@contextmanager
def running() -> Iterator[Bed]:
    """A server of the bench's own, which ends with it."""
    with tempfile.TemporaryDirectory(prefix="pgevents-drain-", ignore_cleanup_errors=True) as folder:
        settings = {"shared_buffers": "1GB", "max_wal_size": "4GB"}
        server = PostgresServer(Path(folder) / "data", free_port(), settings=settings)
        server.start()
        try:
            with connected(server.dsn()) as app, connected(server.dsn()) as reader:
                app.execute(_SCHEMA)
                install(app, NAME, Source(tables=(Table(TABLE),), doorbell="schedule"), _WAKE)
                reader.execute(SOURCE_SESSION.encode())
                reader.execute("set idle_session_timeout = 0")
                yield Bed(app, reader, server_version(app))
        finally:
            server.stop("immediate")


class Processor(NamedTuple):
    """Processor seconds of this thread, and of the server's process for a connection."""

    reader: float
    server: float

    @classmethod
    def spent(cls, connection: psycopg.Connection[Any]) -> "Processor":
        """Until now."""
        return cls(time.thread_time(), used(connection.info.backend_pid))


def connected(dsn: str) -> psycopg.Connection[Any]:
    """A connection in autocommit mode."""
    return psycopg.connect(dsn, autocommit=True, prepare_threshold=None)


def server_version(connection: psycopg.Connection[Any]) -> str:
    """As PostgreSQL tells it."""
    return str(connection.execute("show server_version").fetchone()[0])  # type: ignore[index]


def capture(app: psycopg.Connection[Any], events: int, first: int = 1) -> int:
    """Makes at least so many events in the table: half are inserts, four tenths updates, the rest deletes.

    Returns the first number that no row has had.
    """
    while events > 0:
        tenth = max(1, min(events, _CHUNK) // 10)
        app.execute(_INSERT, {"first": first, "last": first + 5 * tenth - 1})
        app.execute(_UPDATE, {"first": first, "last": first + 4 * tenth - 1})
        app.execute(_DELETE, {"first": first, "last": first + tenth - 1})
        first, events = first + 5 * tenth, events - 10 * tenth
    return first


def write_naive(app: psycopg.Connection[Any], events: int) -> None:
    """Writes so many events into the jsonb outbox, as far as the table has rows."""
    app.execute(_NAIVE, {"events": events})
