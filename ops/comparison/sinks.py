"""Every sink of a pipeline, opened for comparing, and the comparison of all of them."""

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import psycopg

from ops.comparison.archive import ArchivePlace
from ops.comparison.check import Check
from ops.comparison.difference import Compared, Difference
from ops.comparison.place import Place, TargetShape
from ops.comparison.postgres import PostgresPlace
from ops.comparison.redshift import RedshiftPlace, open_redshift
from ops.comparison.source import SourceTable
from ops.comparison.spool import Spool
from ops.endpoints import Endpoints, connect
from pgevents import transforms
from pgevents.config import Pipeline, PostgresSink, S3Sink, Sink
from pgevents.errors import InputError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MakePlaces = Callable[[TargetShape, Spool, int], list[Place]]
"""The places of a target in one sink; the spool, and the number of the first of them there."""


def compare_sinks(pipeline: Pipeline, endpoints: Endpoints) -> Iterator[Compared]:
    """Compares every row of every target, as it is now: what is not applied yet is a difference.

    Raises InputError when a source cannot be reached or a row does not go through its transform.
    """
    with contextlib.ExitStack() as stack:
        sinks = open_sinks(pipeline, endpoints, stack)
        sources = {name: stack.enter_context(connect(name, dsn)) for name, dsn in endpoints.sources.items()}
        yield from compare_opened(pipeline, sources, sinks)


def compare_opened(
    pipeline: Pipeline, sources: Mapping[str, psycopg.Connection], sinks: Mapping[str, MakePlaces]
) -> Iterator[Compared]:
    """The same for sources and sinks that are connected already."""
    transforms.import_all("transform.transforms")
    with (
        tempfile.TemporaryDirectory(prefix="pgevents-compare-") as folder,
        Spool(Path(folder) / "spool.sqlite") as spool,
    ):
        check = Check(spool, places_of(sinks, spool), wait=lambda _: True)
        for name, connection in sources.items():
            for table in pipeline.sources[name].tables:
                source = SourceTable(pipeline, name, table, connection)
                places = check.compare(source)
                for _, failed in spool.findings("failed", source.name):
                    raise InputError(
                        f"{source.name}: row {failed.key} does not go through its transform: {failed.why}"
                    )
                for place in places:
                    found = [
                        Difference(finding.key, finding.kind, finding.columns)
                        for _, finding in spool.findings("difference", source.name)
                        if (finding.sink, finding.place) == (place.sink, place.table) and finding.kind
                    ]
                    yield Compared(place.sink, place.table, place.rows, found)


def places_of(
    sinks: Mapping[str, MakePlaces], spool: Spool
) -> Callable[[SourceTable, int, int], list[Place]]:
    """Where a target of a source table is, among these sinks."""

    def places(source: SourceTable, target: int, first: int) -> list[Place]:
        found: list[Place] = []
        for sink in source.routes[target].sinks:
            if sink in sinks:
                found += sinks[sink](source.shapes[target], spool, first + len(found))
        return found

    return places


def open_sinks(
    pipeline: Pipeline,
    endpoints: Endpoints,
    stack: contextlib.ExitStack,
    names: Iterable[str] | None = None,
) -> dict[str, MakePlaces]:
    """Connects to the sinks with these names, or to all of them, until the stack is closed."""
    wanted = pipeline.sinks if names is None else {name: pipeline.sinks[name] for name in names}
    return {name: _opened(name, sink, pipeline, endpoints, stack) for name, sink in wanted.items()}


def postgres_places(name: str, connection: psycopg.Connection, schema: str) -> MakePlaces:
    """The places in a PostgreSQL sink."""
    return lambda shape, _spool, _first: [
        PostgresPlace(connection, name, schema, shape, history=history) for history in _tables(shape)
    ]


def _opened(
    name: str, sink: Sink, pipeline: Pipeline, endpoints: Endpoints, stack: contextlib.ExitStack
) -> MakePlaces:
    if isinstance(sink, PostgresSink):
        connection = stack.enter_context(connect(name, endpoints.sink(name)))
        return postgres_places(name, connection, sink.schema)
    if isinstance(sink, S3Sink):
        client, bucket, prefix = _s3(endpoints), endpoints.bucket, sink.prefix
        return lambda shape, spool, first: [ArchivePlace(client, bucket, prefix, name, shape, spool, first)]
    session = open_redshift(endpoints.redshift.dsn)
    stack.callback(session.wire.close)
    return lambda shape, _spool, _first: [
        RedshiftPlace(session, name, sink.schema, shape, pipeline.policies, history=history)
        for history in _tables(shape)
    ]


def _tables(shape: TargetShape) -> list[bool]:
    """Which tables a target has in a database: False for the current one, True for its history."""
    return {"mirror": [False], "history": [True], "both": [False, True]}[shape.mode]


def _s3(endpoints: Endpoints) -> "S3Client":
    if not endpoints.aws:
        return boto3.client("s3")
    # The emulator takes any key.
    return boto3.client(
        "s3",
        endpoint_url=endpoints.aws,
        region_name="eu-west-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106
    )
