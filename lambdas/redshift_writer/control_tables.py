"""The writer's own two tables in the target schema, and how a transaction begins and ends on them.

pgevents_applied_batch   one row a batch that took effect: the token that makes a repetition harmless
pgevents_truncation      for each target the version of its newest TRUNCATE: nothing older may come back
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from pgevents.batch import Batch
from pgevents.identity import BatchIdentity
from redshift_writer.connect import Session
from redshift_writer.identifiers import folded, qualified, quoted
from redshift_writer.sql import Sql, joined, sql

APPLIED = "pgevents_applied_batch"
TRUNCATION = "pgevents_truncation"


class Token(NamedTuple):
    """A batch that took effect, and when."""

    batch: BatchIdentity
    applied_at: datetime


class Opening(NamedTuple):
    """What a transaction finds at its start.

    token: the one under this batch's number, None when there is none. newest: the newest one of the batch's
    source. truncated: the versions of the targets' newest TRUNCATEs.
    """

    token: Token | None
    newest: Token | None
    truncated: dict[str, int]


def create(session: Session, schema: str) -> None:
    """Makes schema, tables and columns where they are missing."""
    name = session.quoting.string(folded(schema))
    # Asked first: IF NOT EXISTS wants the right to make schemas even where there is nothing to make.
    if not session.run(
        sql("select nspname::varchar from pg_namespace where nspname = {name}", name=name)
    ).rows:
        session.run(sql("create schema if not exists {schema}", schema=quoted(schema)))
    session.run(
        sql(
            """create table if not exists {applied} (
                source varchar(256) not null,
                epoch bigint not null,
                batch_id bigint not null,
                applied_at timestamp not null,
                changes bigint not null,
                opened_at timestamp,
                primary key (source, epoch, batch_id)
            ) diststyle all sortkey (source, epoch, batch_id);
            create table if not exists {truncation} (
                target varchar(256) not null,
                version bigint not null,
                primary key (target)
            ) diststyle all sortkey (target)""",
            applied=qualified(schema, APPLIED),
            truncation=qualified(schema, TRUNCATION),
        )
    )
    _add_opened_at(session, schema)


def _add_opened_at(session: Session, schema: str) -> None:
    """Tokens once did without it. ADD COLUMN knows no IF NOT EXISTS."""
    found = session.run(
        sql(
            """select attribute.attname::varchar from pg_catalog.pg_class relation
            join pg_catalog.pg_namespace namespace on namespace.oid = relation.relnamespace
            join pg_catalog.pg_attribute attribute on attribute.attrelid = relation.oid
            where namespace.nspname = {schema} and relation.relname = {applied}
                and attribute.attname = 'opened_at'""",
            schema=session.quoting.string(folded(schema)),
            applied=session.quoting.string(APPLIED),
        )
    )
    if not found.rows:
        table = qualified(schema, APPLIED)
        session.run(sql("alter table {table} add column opened_at timestamp", table=table))


def open_transaction(session: Session, schema: str, batch: Batch) -> Opening:
    """Begins, takes the lock that lets one writer at a time into this schema, looks for the batch's token.

    The lock comes before anything that reads: a snapshot taken earlier would not see what the writer before
    this one has written. Readers of the targets never wait for it.
    """
    result = session.run(
        sql(
            """begin; lock {applied};
            select 'own'::varchar, epoch::varchar, batch_id::varchar, opened_at::varchar, applied_at::varchar
            from {applied} where source = {source} and epoch = {epoch} and batch_id = {batch_id}
            union all select 'newest', epoch::varchar, batch_id::varchar, opened_at::varchar,
                applied_at::varchar
            from (
                select epoch, batch_id, opened_at, applied_at from {applied} where source = {source}
                order by epoch desc, batch_id desc limit 1
            ) newest
            union all select 'truncated', target, version::varchar, null::varchar, null::varchar
            from {truncation} where target in ({targets})""",
            applied=qualified(schema, APPLIED),
            truncation=qualified(schema, TRUNCATION),
            source=session.quoting.string(batch.source),
            epoch=batch.epoch,
            batch_id=batch.batch_id,
            targets=_literals(session, {table.target for table in batch.tables} or {""}),
        )
    )
    tokens = {row[0]: _token(row) for row in result.rows if row[0] != "truncated"}
    truncated = {str(row[1]): int(str(row[2])) for row in result.rows if row[0] == "truncated"}
    return Opening(tokens.get("own"), tokens.get("newest"), truncated)


def _token(row: tuple[str | None, ...]) -> Token:
    _, epoch, batch_id, opened_at, applied_at = row
    opened = _moment(opened_at) if opened_at else None
    return Token(BatchIdentity(int(str(epoch)), int(str(batch_id)), opened), _moment(str(applied_at)))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def record_applied(session: Session, schema: str, batch: Batch, moment: Sql) -> Sql:
    """The statement that leaves the batch's token. `moment` is a timestamp literal in UTC."""
    return sql(
        """insert into {applied} (source, epoch, batch_id, applied_at, changes, opened_at)
        values ({source}, {epoch}, {batch_id}, {moment}, {changes}, {opened_at})""",
        applied=qualified(schema, APPLIED),
        source=session.quoting.string(batch.source),
        epoch=batch.epoch,
        batch_id=batch.batch_id,
        moment=moment,
        changes=batch.change_count(),
        opened_at=timestamp(batch.opened()),
    )


def record_truncation(session: Session, schema: str, target: str, version: int) -> list[Sql]:
    """The statements that leave the version of a target's newest TRUNCATE."""
    parts = {"truncation": qualified(schema, TRUNCATION), "target": session.quoting.string(target)}
    return [
        sql("delete from {truncation} where target = {target}", **parts),
        sql(
            "insert into {truncation} (target, version) values ({target}, {version})",
            **parts,
            version=version,
        ),
    ]


def timestamp(moment: datetime) -> Sql:
    """A moment as a timestamp literal in UTC."""
    return sql("timestamp '{moment}'", moment=Sql(moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")))


def _literals(session: Session, names: Iterable[str]) -> Sql:
    return joined(session.quoting.string(name) for name in sorted(names))
