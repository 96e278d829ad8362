"""What is to be reconciled: which tables, which sinks, since when."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import psycopg

from ops.comparison.place import Since
from pgevents.config import Pipeline, Table
from pgevents.config.mistakes import unknown
from pgevents.errors import InputError
from pgevents.event import Version

_AGO = re.compile(r"(?P<count>\d{1,6})\s*(?P<unit>[smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_NOTHING_SINCE = 2**63 - 1


class Selection(msgspec.Struct, frozen=True):
    """The tables by their sources, the sinks, and the time since which changes count; None for all rows."""

    tables: tuple[tuple[str, Table], ...]
    sinks: tuple[str, ...]
    since: datetime | None = None


def select(pipeline: Pipeline, table: str | None, sinks: list[str], since: str | None) -> Selection:
    """Raises InputError for a table or sink that there is not, and for a time that is none."""
    for name in sinks:
        if name not in pipeline.sinks:
            raise InputError(f"--sink: {unknown(name, pipeline.sinks, 'a sink')}")
    chosen = tuple(sinks) or tuple(pipeline.sinks)
    routed = {
        f"{source}.{captured.table}": (source, captured)
        for source, captured in _captured(pipeline)
        if any(
            route.table == f"{source}.{captured.table}" and set(route.sinks) & set(chosen)
            for route in pipeline.routes
        )
    }
    at = None if since is None else time_of(since, datetime.now(UTC))
    if table is None:
        return Selection(tuple(routed.values()), chosen, at)
    found = [name for name in routed if name == table or name.endswith(f".{table}")]
    if len(found) != 1:
        problem = f"is one of {', '.join(found)}" if found else unknown(table, routed, "a routed table")
        raise InputError(f"TABLE: {problem if not found else f'{table!r} {problem}; name it whole'}")
    return Selection((routed[found[0]],), chosen, at)


def time_of(text: str, now: datetime) -> datetime:
    """A time as an operator writes it: ISO 8601 (local time without an offset), or 90s, 15m, 6h, 2d ago.

    Raises InputError for what is none of these, and for a time to come.
    """
    if ago := _AGO.fullmatch(text.strip()):
        return now - timedelta(**{_UNITS[ago["unit"]]: int(ago["count"])})
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"--since: {text!r} is no time; expected one like 2026-11-22T15:00, 15m, 6h or 2d"
        ) from error
    at = at.astimezone(UTC)
    if at > now:
        raise InputError(f"--since: {text} is still to come")
    return at


def since_of(connection: psycopg.Connection, source: str, at: datetime | None) -> Since:
    """The first version of a source that was captured at a time or later, from its ledger.

    Raises InputError when the ledger does not go back so far.
    """
    if at is None:
        return Since()
    row = connection.execute(_FIRST_SINCE, {"at": at}).fetchone()
    epoch, seq, begins_at = row if row else (None, None, None)
    if begins_at is not None and begins_at > at:
        raise InputError(
            f"--since: the ledger of source {source} begins at {begins_at.astimezone(UTC):%F %T}Z,"
            " what was before is purged; name a later time, or leave --since out"
        )
    return Since(Version(epoch, seq).number if epoch is not None else _NOTHING_SINCE, at)


def _captured(pipeline: Pipeline) -> Iterator[tuple[str, Table]]:
    for name, source in pipeline.sources.items():
        for table in source.tables:
            yield name, table


# A replay brings old events again, with their own versions: it is not what was captured since.
_FIRST_SINCE = """
with since as (
    select b.epoch, min(b.seq_from) as seq
    from pgevents.batch as b
    where b.last_captured_at >= %(at)s and b.kind = 'window'
    group by b.epoch
    order by b.epoch
    limit 1
)

select
    (select s.epoch from since as s),
    (select s.seq from since as s),
    (
        select min(b.first_captured_at)
        from pgevents.batch as b
        where exists (select from pgevents.purged as p where p.batches > 0)
    )
"""
