"""What the PostgreSQL sink keeps and one day needs no more: tokens of batches, tombstones of deleted rows.

A token saves the work of a batch that comes twice; versions make the rows right without it. The newest of a
source stays whatever its age: a source that was restored to an earlier state is known by it. A tombstone
keeps an older change of its key from bringing the row back. So it goes only once no older change can come,
which the source knows: pgevents.pass_horizon.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import psycopg
from psycopg import sql

from transform.sinks.postgres_errors import driver_errors
from transform.sinks.postgres_tables import quoted, tombstone_name

MOST_ROWS = 10_000
"""Deleted by one statement, which is a transaction of its own."""

TABLES = """
select tables.relname from pg_catalog.pg_class as tables
join pg_catalog.pg_namespace as schemas on schemas.oid = tables.relnamespace
where schemas.nspname = %s and tables.relname = any(%s) and tables.relkind in ('r', 'p')
"""

TOKENS = """
delete from {batches} where ctid = any(array(
    select old.ctid from {batches} as old
    where
        old.source = %(source)s and old.applied_at < now() - interval '7 days'
        and (old.epoch, old.batch_id) < (
            select newest.epoch, newest.batch_id from {batches} as newest where newest.source = %(source)s
            order by newest.epoch desc, newest.batch_id desc limit 1
        )
    limit %(most)s
))
"""

# Conditions twice: a row may have been deleted anew, and lie elsewhere, since it was chosen.
TOMBSTONES = """
delete from {tombstones} where _version < %(below)s and _deleted_at < now() - interval '30 days'
and ctid = any(array(
    select old.ctid from {tombstones} as old
    where old._version < %(below)s and old._deleted_at < now() - interval '30 days'
    limit %(most)s
))
"""


class Purged(msgspec.Struct):
    """How many tokens and tombstones went."""

    tokens: int = 0
    tombstones: int = 0


def purge(
    connection: psycopg.Connection[Any],
    schema: str,
    source: str,
    targets: Iterable[str],
    below: int,
    is_over: Callable[[], bool],
    most: int = MOST_ROWS,
) -> Purged:
    """Deletes a source's tokens that are older than 7 days, and its targets' tombstones below a version that
    are older than 30 days, part by part until `is_over`.

    The connection is idle and in autocommit mode. Raises TransientError; what went until then is gone.
    """
    batches = "pgevents_applied_batch"
    names = [tombstone_name(target) for target in targets]
    parameters = {"source": source, "below": below, "most": most}
    purged = Purged()

    def delete(statement: str, table: str) -> int:
        deleted, last = 0, most
        command = sql.SQL(statement).format(batches=quoted(schema, table), tombstones=quoted(schema, table))
        while last >= most and not is_over():
            last = connection.execute(command, parameters).rowcount
            deleted += last
        return deleted

    with driver_errors(f"purge schema {schema}"):
        found = {name for (name,) in connection.execute(TABLES, [schema, [batches, *names]]).fetchall()}
        if batches in found:
            purged.tokens = delete(TOKENS, batches)
        for name in sorted(found - {batches}):
            purged.tombstones += delete(TOMBSTONES, name)
    return purged
