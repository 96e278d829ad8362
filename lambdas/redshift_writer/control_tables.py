"""The writer's own two tables in the target schema, and how a transaction begins and ends on them.

pgevents_applied_batch   one row a batch that took effect: the token that makes a repetition harmless
pgevents_truncation      for each target the version of its newest TRUNCATE: nothing older may come back
"""

from collections.abc import Iterable

import msgspec

from pgevents.batch import Batch
from redshift_writer.connect import Session
from redshift_writer.identifiers import folded, qualified, quoted
from redshift_writer.sql import Sql, joined, sql

APPLIED = "pgevents_applied_batch"
TRUNCATION = "pgevents_truncation"


class Opening(msgspec.Struct, frozen=True):
    """What a transaction finds at its start.

    `applied_at` is when the batch took effect before (ISO 8601, UTC), None when it has not. `truncated` are
    the versions of the targets' newest TRUNCATEs.
    """

    applied_at: str | None
    truncated: dict[str, int]


def create(session: Session, schema: str) -> None:
    """Makes schema and tables where they are missing."""
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


def open_transaction(session: Session, schema: str, batch: Batch) -> Opening:
    """Begins, takes the lock that lets one writer at a time into this schema, looks for the batch's token.

    The lock comes before anything that reads: a snapshot taken earlier would not see what the writer before
    this one has written. Readers of the targets never wait for it.
    """
    result = session.run(
        sql(
            """begin; lock {applied};
            select null::varchar, applied_at::varchar from {applied}
            where source = {source} and epoch = {epoch} and batch_id = {batch_id}
            union all select target, version::varchar from {truncation} where target in ({targets})""",
            applied=qualified(schema, APPLIED),
            truncation=qualified(schema, TRUNCATION),
            source=session.quoting.string(batch.source),
            epoch=batch.epoch,
            batch_id=batch.batch_id,
            targets=_literals(session, {table.target for table in batch.tables} or {""}),
        )
    )
    applied_at = next((value for target, value in result.rows if target is None), None)
    return Opening(
        applied_at.replace(" ", "T") + "+00:00" if applied_at else None,
        {target: int(value) for target, value in result.rows if target is not None and value is not None},
    )


def record_applied(session: Session, schema: str, batch: Batch, moment: Sql) -> Sql:
    """The statement that leaves the batch's token. `moment` is a timestamp literal in UTC."""
    return sql(
        """insert into {applied} (source, epoch, batch_id, applied_at, changes)
        values ({source}, {epoch}, {batch_id}, {moment}, {changes})""",
        applied=qualified(schema, APPLIED),
        source=session.quoting.string(batch.source),
        epoch=batch.epoch,
        batch_id=batch.batch_id,
        moment=moment,
        changes=batch.change_count(),
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


def _literals(session: Session, names: Iterable[str]) -> Sql:
    return joined(session.quoting.string(name) for name in sorted(names))
