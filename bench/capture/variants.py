"""Databases of one server that have the same table and differ in how it is captured."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import psycopg

from bench.capture import tables
from db_triggers.installer import Wake, install
from local import aws_extensions
from local.emulator import REGION
from local.postgres import PostgresServer, free_port
from local.stack.functions import TRANSFORM
from pgevents.config import Doorbell, Source, Table

UNTRIGGERED = "untriggered"
CAPTURED = "captured"
"""With its doorbell, while a drain is awake: what a source under steady load is like."""
LAMBDA_GONE = "captured, nobody awake, invoke fails"
NOT_RUNG = "captured, without the doorbell"
UNGUARDED = "captured, pg_notify by each transaction"
NAIVE = "row trigger, jsonb before and after"

DRAIN_LOCK = "select pg_advisory_lock(1885828470, 0)"

_Connection = psycopg.Connection[tuple[object, ...]]


@contextmanager
def databases(server: PostgresServer) -> Iterator[dict[str, str]]:
    """Makes a database a variant, filled; their DSNs by the variant's name. Drains are awake meanwhile."""
    with ExitStack() as opened:
        dsns = {}
        for number, (name, prepare) in enumerate(_VARIANTS.items()):
            database = f"variant_{number}"
            server.create_database(database)
            dsns[name] = server.dsn(database)
            connection = opened.enter_context(psycopg.connect(dsns[name], autocommit=True))
            connection.execute(tables.SCHEMA.encode())
            prepare(connection)
            connection.execute(tables.FILL.encode())
            if name in (CAPTURED, NOT_RUNG, UNGUARDED):
                connection.execute(DRAIN_LOCK)
        yield dsns


def empty_outbox(connection: _Connection) -> None:
    """Empties whatever a variant has captured, so that each measurement begins alike."""
    found = connection.execute(_OUTBOXES).fetchall()
    for (outbox,) in found:
        connection.execute(f"truncate {outbox}".encode())


def _capture(connection: _Connection, doorbell: Doorbell = "schedule") -> None:
    source = Source(tables=(Table(tables.TABLE),), doorbell=doorbell)
    install(connection, "bench", source, Wake(TRANSFORM, REGION))


def _capture_with_lambda_gone(connection: _Connection) -> None:
    aws_extensions.install(connection, f"http://127.0.0.1:{free_port()}")
    _capture(connection, "invoke")


def _capture_without_doorbell(connection: _Connection) -> None:
    _capture(connection)
    for half in (0, 1):
        connection.execute(f"drop trigger ring on pgevents.outbox_1_{half}".encode())


def _capture_and_notify(connection: _Connection) -> None:
    _capture_without_doorbell(connection)
    connection.execute(_NOTIFY.encode())


def _capture_naively(connection: _Connection) -> None:
    connection.execute(_NAIVE.encode())


_VARIANTS: dict[str, Callable[[_Connection], None]] = {
    UNTRIGGERED: lambda _: None,
    CAPTURED: _capture,
    LAMBDA_GONE: _capture_with_lambda_gone,
    NOT_RUNG: _capture_without_doorbell,
    UNGUARDED: _capture_and_notify,
    NAIVE: _capture_naively,
}

_OUTBOXES = """
select oid::regclass::text from pg_class
where relkind = 'r' and (
    relnamespace = to_regnamespace('pgevents') and relname like 'outbox\\_%\\_%' or relname = 'naive_outbox'
)
"""

_NOTIFY = f"""
create function public.notify_always() returns trigger language plpgsql as $$
begin
    perform pg_notify('changes', '');
    return null;
end
$$;
create trigger notify_always after insert or update or delete on {tables.TABLE}
for each statement execute function public.notify_always();
"""

_NAIVE = f"""
create table public.naive_outbox (
    event_id bigint generated always as identity primary key,
    table_name text not null,
    op text not null,
    before jsonb,
    after jsonb,
    changed_at timestamptz not null default clock_timestamp()
);
create function public.capture_naively() returns trigger language plpgsql as $$
begin
    insert into public.naive_outbox (table_name, op, before, after)
    values (tg_table_name, tg_op, to_jsonb(old), to_jsonb(new));
    return null;
end
$$;
create trigger capture_naively after insert or update or delete on {tables.TABLE}
for each row execute function public.capture_naively();
"""
