"""Every target in every sink, compared with the sources."""

import contextlib
from collections.abc import Callable, Iterator

import boto3
import psycopg

from ops.comparison.archive import in_archive, read_archive
from ops.comparison.difference import Canonical, Compared, compare
from ops.comparison.expected import Content, expected_contents
from ops.comparison.postgres import as_printed, read_postgres
from ops.comparison.redshift import in_redshift, open_redshift, read_redshift
from ops.endpoints import Endpoints, connect
from pgevents import transforms
from pgevents.batch import Values
from pgevents.config import Pipeline, PostgresSink, S3Sink, Sink

Reader = Callable[[Content], dict[Values, tuple[object, ...]]]


def compare_sinks(pipeline: Pipeline, endpoints: Endpoints) -> Iterator[Compared]:
    """Compares every row of every target. Nothing may be written to the sources meanwhile.

    Raises InputError when a source cannot be reached or a row does not go through its transform.
    """
    transforms.import_all("transform.transforms")
    with contextlib.ExitStack() as stack:
        readers = {name: _reader(name, sink, endpoints, stack) for name, sink in pipeline.sinks.items()}
        for source, dsn in endpoints.sources.items():
            with connect(source, dsn) as connection:
                for content in expected_contents(pipeline, source, connection):
                    for sink in content.sinks:
                        read, canonical = readers[sink]
                        yield compare(sink, content, read(content), canonical)


def _reader(
    name: str, sink: Sink, endpoints: Endpoints, stack: contextlib.ExitStack
) -> tuple[Reader, Canonical]:
    if isinstance(sink, PostgresSink):
        dsn = psycopg.conninfo.make_conninfo(endpoints.postgres, dbname=name)
        connection = stack.enter_context(connect(name, dsn))
        return lambda content: read_postgres(connection, sink.schema, content), as_printed
    if isinstance(sink, S3Sink):
        # The emulator takes any key.
        client = boto3.client(
            "s3",
            endpoint_url=endpoints.aws,
            region_name="eu-west-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106
        )
        return lambda content: read_archive(client, endpoints.bucket, sink.prefix, content), in_archive
    session = open_redshift(endpoints.redshift.dsn)
    stack.callback(session.wire.close)
    return lambda content: read_redshift(session, sink.schema, content), in_redshift
