"""What each route comes to: a target, its key and its columns, from the captured table as it is now."""

from collections.abc import Mapping

from ops.plan.captures import Columns
from ops.plan.difference import Difference
from pgevents.batch import TableChanges
from pgevents.config import Pipeline, RedshiftSink, Route
from pgevents.errors import InputError
from transform.source.captured import TableRows
from transform.targets import Target

Shapes = Mapping[str, Columns]
"""`database.schema.table` → its captured columns, for every table of the sources that were reached."""


def redshift_targets(pipeline: Pipeline, shapes: Shapes) -> tuple[list[TableChanges], list[Difference]]:
    """The targets that Redshift is to have, without changes, and the routes that cannot have one."""
    warehouses = pipeline.sinks_of(RedshiftSink)
    made: list[TableChanges] = []
    blocked: list[Difference] = []
    for route in pipeline.routes:
        if route.table in shapes and any(sink in warehouses for sink in route.sinks):
            try:
                made.append(_target(route, shapes[route.table]))
            except InputError as error:
                blocked.append(Difference("blocked", route.table, str(error)))
    return made, blocked


def _target(route: Route, shape: Columns) -> TableChanges:
    """As the transform Lambda makes it of a batch. Raises InputError when a key column is missing."""
    table = route.table.split(".", 1)[1]
    rows = TableRows(table, shape.key, tuple(shape.columns), tuple(shape.columns.values()), [])
    return Target(route, rows).gathered()
