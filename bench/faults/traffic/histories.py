"""What the sinks hold of the traffic's tables: their histories, in one form for all kinds of sink."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import psycopg
from psycopg import sql as postgres_sql

from bench.faults.traffic.judging import Finding, Kept, judge_history, judge_source
from bench.faults.traffic.record import Record
from bench.faults.traffic.tables import TABLES, TrafficTable, target_name
from ops.comparison.redshift import open_redshift
from ops.endpoints import Endpoints
from pgevents.batch import Column
from pgevents.config import Pipeline, PostgresSink, S3Sink, Sink
from redshift_writer.connect import Session
from redshift_writer.identifiers import listed, qualified
from redshift_writer.simple_query import ServerError
from redshift_writer.sql import sql
from transform.sinks import s3_archive

Read = Callable[[str, TrafficTable], list[Kept]]
"""The history of a source's table in one sink. Nothing while the sink has not made its table."""

_UNDEFINED_TABLE = "42P01"
_STAMPS = ("life", "n", "tx")


def judge(
    record: Record, pipeline: Pipeline, endpoints: Endpoints, *, snapshots: bool = False
) -> list[Finding]:
    """Every finding in every history of every sink, and in the sources. Everything must have been applied.

    `snapshots` as in judge_history.
    """
    found = judge_source(record)
    for sink, read in readers(pipeline, endpoints):
        for source, of_source in record.sources.items():
            for table in TABLES:
                where = f"{source} {sink} {table.name}"
                found += judge_history(where, of_source, table, read(source, table), snapshots=snapshots)
    return found


def readers(pipeline: Pipeline, endpoints: Endpoints) -> Iterator[tuple[str, Read]]:
    """A reader for each sink, open until the next one is asked for."""
    for name, sink in pipeline.sinks.items():
        with contextlib.ExitStack() as stack:
            yield name, _reader(name, sink, endpoints, stack)


def read_postgres(
    connection: psycopg.Connection[Any], schema: str, target: str, table: TrafficTable
) -> list[Kept]:
    """The history of a target in a PostgreSQL sink."""
    history = postgres_sql.Identifier(schema, f"{target}_history")
    if connection.execute("select to_regclass(%s)", (history.as_string(connection),)).fetchone() == (None,):
        return []
    names = [*table.key, *_STAMPS]
    columns = postgres_sql.SQL(", ").join(map(postgres_sql.Identifier, names))
    query = postgres_sql.SQL("select _version, _clause, {} from {}").format(columns, history)
    return [_kept(table, row[0], row[1], row[2:]) for row in connection.execute(query)]


def read_redshift(session: Session, schema: str, target: str, table: TrafficTable) -> list[Kept]:
    """The history of a target in Redshift."""
    query = sql(
        'select "_version", "_clause", {columns} from {history}',
        columns=listed([*table.key, *_STAMPS]),
        history=qualified(schema, f"{target}_history"),
    )
    try:
        rows = session.run(query).rows
    except ServerError as error:
        if error.code == _UNDEFINED_TABLE:
            return []
        raise
    return [_kept(table, row[0], row[1], row[2:]) for row in rows]


def read_s3(client: Any, bucket: str, prefix: str, target: str, table: TrafficTable) -> list[Kept]:
    """The changes of a target in the archive."""
    types = {"life": "bigint", "n": "integer"}
    columns = [Column(name, types.get(name, "text")) for name in dict.fromkeys((*table.key, *_STAMPS))]
    names = [column.name for column in columns]
    kept = []
    for change in s3_archive.read_archive(client, bucket, prefix, target, columns):
        values = dict(zip(names, change.values or (None,) * len(names), strict=True))
        row = [values[name] for name in (*table.key, *_STAMPS)]
        kept.append(_kept(table, change.version, change.clause, row))
    return kept


def _kept(table: TrafficTable, version: object, clause: object, row: Any) -> Kept:
    width = len(table.key)
    key = None if row[0] is None else tuple(str(part) for part in row[:width])
    if clause == "DELETE":
        return Kept(int(str(version)), "DELETE", key)
    life, n, tx = row[width:]
    return Kept(int(str(version)), str(clause), key, int(life), int(n), str(tx))


def _reader(name: str, sink: Sink, endpoints: Endpoints, stack: contextlib.ExitStack) -> Read:
    if isinstance(sink, PostgresSink):
        connection = stack.enter_context(psycopg.connect(endpoints.sink(name), autocommit=True))
        return lambda source, table: read_postgres(
            connection, sink.schema, target_name(source, table.name), table
        )
    if isinstance(sink, S3Sink):
        # The emulator takes any key.
        client = boto3.client(
            "s3",
            endpoint_url=endpoints.aws,
            region_name="eu-west-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106
        )
        return lambda source, table: read_s3(
            client, endpoints.bucket, sink.prefix, target_name(source, table.name), table
        )
    session = open_redshift(endpoints.redshift.dsn)
    stack.callback(session.wire.close)
    return lambda source, table: read_redshift(session, sink.schema, target_name(source, table.name), table)
