"""Asking for the rows of captured tables to be sent to their targets, and watching how that goes."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
import psycopg
from psycopg.rows import class_row

from ops.status import ledger
from pgevents.config import Pipeline
from pgevents.config.mistakes import unknown
from pgevents.errors import InputError

_POLL_SECONDS = 0.2


class Progress(msgspec.Struct, frozen=True):
    """How far a request has come. `rows` are sent, `expected_rows` is the planner's guess; `waits_for` names
    the transactions that have to end before it can go on."""

    source: str
    table: str
    request_id: int
    state: str
    rows: int
    expected_rows: int | None
    waits_for: list[str]
    error: str | None

    def __str__(self) -> str:
        about = f" of about {self.expected_rows:,}" if self.expected_rows else ""
        line = f"{self.source}.{self.table}: {self.rows:,}{about} rows sent"
        if self.state == "failed":
            return f"{self.source}.{self.table}: failed: {self.error}"
        return line + (f"; waits for {', '.join(self.waits_for)} to end" if self.waits_for else "")


def chosen(pipeline: Pipeline, table: str | None, everything: bool) -> list[tuple[str, str]]:
    """The tables that a person has named, as (source, schema.table). Raises InputError when there is none."""
    captured = {
        f"{name}.{each.table}": (name, each.table)
        for name, source in pipeline.sources.items()
        for each in source.tables
    }
    if everything == (table is not None):
        raise InputError("name one table as source.schema.table, or say --all")
    if table is None:
        return list(captured.values())
    if table not in captured:
        raise InputError(f"TABLE: {unknown(table, list(captured), 'a captured table')}")
    return [captured[table]]


def ask(connection: psycopg.Connection, source: str, table: str, reason: str) -> int:
    """The number of a request to backfill a table. Raises InputError when it is not captured."""
    try:
        row = connection.execute(
            "select pgevents.request_snapshot(%s, 'backfill', null, %s)", (table, reason)
        ).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        why = error.diag.message_detail or "install capture first: ./pgevents up, or deploy"
        raise InputError(f"{source}: {error.diag.message_primary}; {why}") from error
    except psycopg.errors.UndefinedFunction as error:
        raise InputError(
            f"source {source} has an older version of capture; install it again: ./pgevents up, or deploy"
        ) from error
    return int(row[0]) if row else 0


def progress(connection: psycopg.Connection, source: str, request_id: int) -> Progress:
    """How far a request has come."""
    with connection.cursor(row_factory=class_row(Progress)) as cursor:
        found = cursor.execute(_PROGRESS, {"source": source, "request_id": request_id}).fetchone()
    if found is None:
        raise InputError(f"source {source} has no request {request_id}")
    return found


def watch(
    connections: Mapping[str, psycopg.Connection],
    requests: Sequence[tuple[str, int]],
    tell: Callable[[str], None],
) -> Iterator[Progress]:
    """Waits for each request (source, number) to end and for all that it has sent to be applied."""
    for source, request_id in requests:
        connection = connections[source]
        while (now := progress(connection, source, request_id)).state not in ("finished", "failed"):
            tell(str(now) + _held(connection))
            time.sleep(_POLL_SECONDS)
        if now.state == "finished":
            tell(f"{now}; not applied yet{_held(connection)}")
            _wait_until_applied(connection, source)
        yield now


def _held(connection: psycopg.Connection) -> str:
    """What is said of sinks that batches wait for: with sixteen of them, no further chunk is written."""
    sinks = [sink for (sink,) in connection.execute(_HELD_FOR)]
    return f"; batches are held for {', '.join(sinks)}" if sinks else ""


def _wait_until_applied(connection: psycopg.Connection, source: str) -> None:
    seen = ledger.snapshot(source, connection)
    while ledger.unapplied(connection, seen):
        time.sleep(_POLL_SECONDS)


_HELD_FOR = """
select distinct sink from pgevents.batch, unnest(held_for) as sink where state = 'held' order by sink
"""

_PROGRESS = """
select
    %(source)s::text as source, c.name as table, r.request_id, r.state, r.row_count as rows, r.expected_rows,
    array(
        select coalesce(
            'process ' || a.pid || coalesce(' (' || nullif(a.application_name, '') || ')', ''),
            'transaction ' || w.xid::text
        )
        from unnest(r.waits_for) as w (xid)
        left join pg_stat_activity as a on a.backend_xid = (w.xid::text::bigint & 4294967295)::text::xid
        where pg_xact_status(w.xid) = 'in progress'
        limit 3
    ) as waits_for,
    r.error
from pgevents.snapshot_request as r
inner join pgevents.captured_table as c on r.table_id = c.table_id
where r.request_id = %(request_id)s
"""
