"""A source's capture and ledger: whether events are taken, and whether they get through."""

from collections.abc import Iterator

import psycopg

from db_triggers.installer import Wake
from ops.doctor.finding import Finding, Limits, error, graded, ok, warning
from ops.doctor.server import doorbell_call, server_findings
from ops.plan.captures import capture_differences, event_triggers_to_add, missing_event_triggers
from ops.status import ledger
from pgevents.config import Pipeline, Source
from pgevents.errors import InputError

_INSTALL_AGAIN = (
    "./pgevents up installs them on this machine; on AWS let the installer run again, as "
    "docs/how-to/upgrade-and-roll-back.md says under a new major version"
)


def source_findings(
    connection: psycopg.Connection, name: str, pipeline: Pipeline, limits: Limits
) -> Iterator[Finding]:
    """Every check of one source. The connection is in autocommit mode."""
    source = pipeline.sources[name]
    yield from server_findings(connection, name, source, pipeline.routes, limits)
    if connection.execute("select to_regclass('pgevents.setting')").fetchone() == (None,):
        yield error(
            name, "capture is not installed", "./pgevents deploy ENV, or ./pgevents up on this machine"
        )
        return
    yield _event_triggers(connection, name)
    yield from _in_step(connection, name, source, pipeline)
    yield from _ended(connection, name, source)
    yield from _keys(connection, name)
    yield from _doorbell(connection, name, source)
    yield from _flow(connection, name, limits)


def _event_triggers(connection: psycopg.Connection, name: str) -> Finding:
    """They have to go before RDS upgrades to another major version, and are easily forgotten after it."""
    if missing := missing_event_triggers(connection):
        what = f"does not follow changes of its tables: event triggers {', '.join(missing)} are gone or off"
        return error(name, what, _INSTALL_AGAIN)
    return ok(name, "follows changes of its tables: its event triggers are there")


def _in_step(
    connection: psycopg.Connection, name: str, source: Source, pipeline: Pipeline
) -> Iterator[Finding]:
    found = capture_differences(connection, name, source, None, pipeline.routes)
    said = event_triggers_to_add(name, missing_event_triggers(connection))
    differences = [each for each in found if each.action != "blocked" and each != said]
    for each in differences:
        what = f"not as pipeline.toml has it: {each.action} {each.what}"
        yield warning(each.where, what, "./pgevents plan ENV shows it, deploy (or up) does it")
    if not differences:
        yield ok(name, f"captures {len(source.tables)} tables as pipeline.toml has them")


def _ended(connection: psycopg.Connection, name: str, source: Source) -> Iterator[Finding]:
    wanted = [table.table for table in source.tables]
    for table, reason in connection.execute(_ENDED, (wanted,)).fetchall():
        yield error(
            f"{name}.{table}",
            f"its capture has ended: {reason}",
            "put the table right, deploy, then ./pgevents backfill it: changes since then were not seen",
        )


def _keys(connection: psycopg.Connection, name: str) -> Iterator[Finding]:
    for (table,) in connection.execute(_LOOSE_KEYS).fetchall():
        yield warning(
            f"{name}.{table}",
            "nothing keeps its key unique, and two rows with one key are one row in the sinks",
            "add a unique constraint on the key that is not deferrable",
        )


def _doorbell(connection: psycopg.Connection, name: str, source: Source) -> Iterator[Finding]:
    row = connection.execute(_DOORBELL).fetchone()
    if row is None:
        yield error(name, "the settings of capture are lost", "deploy (or up) again")
        return
    rung, failed, muted_for, function, region = row
    log = "the database's log says why (pgevents: the doorbell did not ring)"
    if muted_for > 0:
        yield error(name, f"the doorbell is muted for {muted_for} s: its last ring failed", log)
    if failed:
        yield warning(name, f"{failed} of {rung} doorbells failed since capture was installed", log)
    elif muted_for <= 0:
        yield ok(name, f"{rung} doorbells rang, none failed")
    if source.doorbell == "invoke":
        yield doorbell_call(connection, name, Wake(function, region))


def _flow(connection: psycopg.Connection, name: str, limits: Limits) -> Iterator[Finding]:
    try:
        found = ledger.status(name, connection)
    except InputError as failure:
        yield error(name, str(failure), "deploy (or up) again")
        return
    seconds = found.oldest_waiting_seconds
    yield graded(
        seconds,
        limits.waiting_seconds,
        name,
        f"{found.events_waiting} events wait, the oldest unapplied batch for {seconds:.0f} s",
        "./pgevents status; then the logs of the transform and the redshift_writer for that batch",
    )
    megabytes = found.outbox_bytes / 1e6
    yield graded(
        found.outbox_bytes,
        limits.outbox_bytes,
        name,
        f"the outbox takes {megabytes:,.0f} MB",
        "find what keeps batches from being applied; space is freed once they are",
    )
    if found.dead_letters:
        yield warning(
            name,
            f"{found.dead_letters} events are dead letters",
            "./pgevents dead-letters list says why; put it right, then ./pgevents replay",
        )
    else:
        yield ok(name, "no dead letters")
    yield from _paused(connection, name)


def _paused(connection: psycopg.Connection, name: str) -> Iterator[Finding]:
    if connection.execute("select to_regclass('pgevents.paused')").fetchone() == (None,):
        return
    for what, since, who in connection.execute(_PAUSED).fetchall():
        yield warning(name, f"{what} is paused since {since} by {who or 'somebody'}", "./pgevents resume")


_ENDED = """
select distinct on (t.name) t.name, t.ended
from pgevents.captured_table as t
where t.name = any (%s) and t.ended is not null
    and not exists (select from pgevents.captured_table as now where now.name = t.name and now.ended is null)
order by t.name, t.table_id desc
"""

_LOOSE_KEYS = """
select t.name from pgevents.captured_table as t where t.ended is null and not pgevents.key_is_unique(t)
"""

_DOORBELL = """
select
    (select last_value from pgevents.doorbell_rung),
    (select last_value from pgevents.doorbell_failed),
    (select last_value from pgevents.doorbell_muted_until) - extract(epoch from clock_timestamp())::bigint,
    s.function_name, s.region
from pgevents.setting as s
"""

_PAUSED = """
select what, to_char(paused_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), paused_by
from pgevents.paused
order by what
"""
