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
NOTHING = "a trigger that does nothing"
BAREST = "the barest capture"
"""The columns alone, copied by a trigger a statement: no doorbell, no rotation, nothing is put in order."""
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


def _do_nothing(connection: _Connection) -> None:
    connection.execute(_NOTHING.encode())


def _capture_barely(connection: _Connection) -> None:
    connection.execute(_BAREST_OUTBOX.encode())
    for event, (rows, insert) in _BAREST.items():
        connection.execute(_BAREST_TRIGGER.format(event=event, rows=rows, insert=insert).encode())


_VARIANTS: dict[str, Callable[[_Connection], None]] = {
    UNTRIGGERED: lambda _: None,
    CAPTURED: _capture,
    LAMBDA_GONE: _capture_with_lambda_gone,
    NOT_RUNG: _capture_without_doorbell,
    UNGUARDED: _capture_and_notify,
    NOTHING: _do_nothing,
    BAREST: _capture_barely,
    NAIVE: _capture_naively,
}

_OUTBOXES = """
select oid::regclass::text from pg_class
where relkind = 'r' and (
    relnamespace = to_regnamespace('pgevents') and relname like 'outbox\\_%\\_%'
    or relname in ('naive_outbox', 'barest_outbox')
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

_NOTHING = f"""
create function public.do_nothing() returns trigger language plpgsql as $$ begin return null; end $$;
create trigger do_nothing after insert or update or delete on {tables.TABLE}
for each statement execute function public.do_nothing();
"""

_BEFORE, _AFTER = ([f"{side}{number}" for number in range(len(tables.TYPES))] for side in "ba")
_BAREST_OUTBOX = f"""
create sequence public.barest_seq;
create table public.barest_outbox (
    seq bigint not null default nextval('public.barest_seq'),
    xid xid8 not null default pg_current_xact_id(),
    captured_at timestamptz not null default clock_timestamp(),
    op "char" not null,
    {", ".join(map(" ".join, zip([*_BEFORE, *_AFTER], 2 * tables.TYPES, strict=True)))}
)
"""
_BAREST_TRIGGER = f"""
create function public.capture_barely_{{event}}() returns trigger language plpgsql as $$
begin
    insert into public.barest_outbox {{insert}};
    return null;
end
$$;
create trigger capture_barely_{{event}} after {{event}} on {tables.TABLE} referencing {{rows}}
for each statement execute function public.capture_barely_{{event}}();
"""
_BAREST = {
    "insert": ("new table as n", f"(op, {', '.join(_AFTER)}) select 'I', n.* from n"),
    "delete": ("old table as o", f"(op, {', '.join(_BEFORE)}) select 'D', o.* from o"),
    "update": (
        "old table as o new table as n",
        f"(op, {', '.join([*_BEFORE, *_AFTER])}) select 'U', o.*, n.* from o, n",
    ),
}
"""By the event: the trigger's rows, and what it writes of them. A statement updates one row here."""
