"""What the writer keeps and one day needs no more: tokens of batches, and tombstones of deleted rows.

A token saves the work of a batch that comes twice; versions make the rows right without it. The newest of
a source stays whatever its age: a source that was restored to an earlier state is known by it. A tombstone
keeps an older change of its key from bringing the row back, so it goes only once no older change can come;
the source knows when that is.
"""

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from pgevents.errors import TransientError
from redshift_writer.connect import Session, Sessions
from redshift_writer.control_tables import APPLIED, timestamp
from redshift_writer.failures import meaning_of
from redshift_writer.identifiers import folded, qualified
from redshift_writer.shapes import VERSIONS_SUFFIX
from redshift_writer.simple_query import ConnectionLost, ServerError
from redshift_writer.sql import Sql, joined, sql

TOKENS_KEPT = timedelta(days=7)
MOST_ROWS = 100_000
"""Deleted in one transaction: writers wait for it."""
LONGEST_SECONDS = 60.0
"""After so long no further transaction is begun; the rest goes another day."""


class Purged(msgspec.Struct):
    """How many tokens and tombstones went."""

    tokens: int = 0
    tombstones: int = 0


class Purge:
    """Deletes from the tables of one schema."""

    def __init__(self, sessions: Sessions, schema: str, most_rows: int = MOST_ROWS) -> None:
        self._sessions = sessions
        self._schema = schema
        self._most_rows = most_rows

    def run(self, source: str, below: int, targets: Iterable[str]) -> Purged:
        """Deletes the old tokens of a source, and the tombstones below a version in targets of it.

        Raises TransientError; what was deleted until then stays deleted.
        """
        purged = Purged()
        until = time.monotonic() + LONGEST_SECONDS
        try:
            session = self._sessions.get()
            if not self._existing(session, [APPLIED]):
                return purged
            purged.tokens = self._tokens(session, source)
            for versions in self._existing(session, [target + VERSIONS_SUFFIX for target in targets]):
                while time.monotonic() < until:
                    deleted = self._tombstones(session, versions, below)
                    purged.tombstones += deleted
                    if deleted < self._most_rows:
                        break
        except ConnectionLost as error:
            self._sessions.drop()
            raise TransientError(f"purging was interrupted: {error}") from error
        except ServerError as error:
            self._sessions.rollback()
            raise TransientError(f"purging failed ({meaning_of(error)}): {error}") from error
        return purged

    def _existing(self, session: Session, names: list[str]) -> list[str]:
        if not names:
            return []
        found = session.run(
            sql(
                """select relation.relname::varchar from pg_catalog.pg_class relation
                join pg_catalog.pg_namespace namespace on namespace.oid = relation.relnamespace
                where namespace.nspname = {schema} and relation.relkind = 'r'
                    and relation.relname in ({names})
                order by 1""",
                schema=session.quoting.string(folded(self._schema)),
                names=joined(session.quoting.string(folded(name)) for name in names),
            )
        )
        return [str(name) for (name,) in found.rows]

    def _tokens(self, session: Session, source: str) -> int:
        parts = {"applied": qualified(self._schema, APPLIED), "source": session.quoting.string(source)}
        newest = session.run(
            sql(
                """select epoch::varchar, batch_id::varchar from {applied} where source = {source}
                order by epoch desc, batch_id desc limit 1""",
                **parts,
            )
        ).rows
        if not newest:
            return 0
        epoch, batch_id = (int(str(number)) for number in newest[0])
        delete = sql(
            """delete from {applied} where source = {source} and applied_at < {cutoff}
            and not (epoch = {epoch} and batch_id = {batch_id})""",
            **parts,
            epoch=epoch,
            batch_id=batch_id,
            cutoff=timestamp(datetime.now(UTC) - TOKENS_KEPT),
        )
        return self._delete(session, delete)

    def _tombstones(self, session: Session, versions: str, below: int) -> int:
        """A part of a table's tombstones, the oldest first."""
        table = qualified(self._schema, versions)
        last = session.run(
            sql(
                """select max(version)::varchar from (
                    select "_version" as version from {table} where "_deleted" and "_version" < {below}
                    order by "_version" limit {most}
                ) oldest""",
                table=table,
                below=below,
                most=self._most_rows,
            )
        ).rows[0][0]
        if last is None:
            return 0
        delete = sql(
            'delete from {table} where "_deleted" and "_version" <= {last}', table=table, last=int(last)
        )
        return self._delete(session, delete)

    def _delete(self, session: Session, delete: Sql) -> int:
        """Under the writers' lock: a snapshot taken before it would make one of the two fail."""
        lock = sql("begin; lock {applied}", applied=qualified(self._schema, APPLIED))
        session.run(lock)
        result = session.run(joined([delete, sql("commit")], "; "))
        return result.counts[0]
