"""The databases of a plan: reached where there is a DSN, compared, and said so where not."""

import contextlib
from collections.abc import Mapping

import msgspec
import psycopg

from db_triggers.installer import Wake
from ops.endpoints import connect
from ops.plan.captures import Columns, capture_differences, captured_columns
from ops.plan.difference import Difference
from ops.plan.targets import redshift_targets
from ops.plan.warehouse import expected_tables, warehouse_differences
from ops.warehouse import open_warehouse
from pgevents.batch import TableChanges
from pgevents.config import Pipeline, RedshiftSink
from pgevents.errors import InputError, TransientError
from redshift_writer.simple_query import ConnectionLost, ServerError


class Reach(msgspec.Struct, frozen=True):
    """Where the databases are: DSNs of sources by name, and of Redshift. `wake` as `capture_differences` has
    it."""

    sources: Mapping[str, str]
    redshift: str = ""
    wake: Wake | None = None


class Compared(msgspec.Struct, frozen=True):
    """Every difference, and why something was not compared, by its name in pipeline.toml."""

    differences: list[Difference]
    not_compared: dict[str, str]


def compare_databases(pipeline: Pipeline, reach: Reach) -> Compared:
    """Sources first: what Redshift needs follows from their tables."""
    differences: list[Difference] = []
    missing: dict[str, str] = {}
    shapes: dict[str, Columns] = {}
    for name in pipeline.sources:
        try:
            found, its_shapes = _source(name, pipeline, reach)
        except InputError as error:
            missing[name] = str(error)
        else:
            differences += found
            shapes |= its_shapes
    targets, blocked = redshift_targets(pipeline, shapes)
    differences += blocked
    for sink, settings in pipeline.sinks.items():
        if isinstance(settings, RedshiftSink):
            try:
                differences += _warehouse(sink, settings.schema, targets, reach.redshift)
            except InputError as error:
                missing[sink] = f"{error} (what is shown for it is for one that holds nothing)"
                differences += expected_tables(sink, targets)
    return Compared(differences, missing)


def _warehouse(sink: str, schema: str, targets: list[TableChanges], dsn: str) -> list[Difference]:
    """Raises InputError when it cannot be looked at."""
    if not dsn:
        raise InputError("no DSN for it; give --redshift DSN, or the state folder of a running pipeline")
    try:
        session = open_warehouse(dsn)
        with contextlib.closing(session.wire):
            return warehouse_differences(session, sink, schema, targets)
    except (TransientError, ServerError, ConnectionLost) as error:
        raise InputError(str(error)) from error


def _source(name: str, pipeline: Pipeline, reach: Reach) -> tuple[list[Difference], dict[str, Columns]]:
    """Raises InputError when the source cannot be looked at."""
    if name not in reach.sources:
        raise InputError(
            f"no DSN for it; give --source {name}=DSN, or the state folder of a running pipeline"
        )
    source = pipeline.sources[name]
    try:
        with connect(name, reach.sources[name]) as connection:
            found = capture_differences(connection, name, source, reach.wake, pipeline.routes)
            shapes = {
                f"{name}.{table.table}": shape
                for table in source.tables
                if (shape := captured_columns(connection, table)) is not None
            }
    except psycopg.Error as error:
        raise InputError(f"source {name}: {str(error).splitlines()[0]}; look at it as its owner") from error
    return found, shapes
