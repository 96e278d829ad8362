"""Finding which changes a target refuses, after it refused the whole.

The server says what is wrong with a statement, not which of its ten thousand rows it was. Halving finds it
with any server version and for every reason there is: a value's form, a constraint, somebody's own trigger.
"""

from typing import Any

import psycopg
from psycopg import sql

from pgevents.batch import Change
from pgevents.refusals import Refusal, refusal
from transform.sinks.postgres_errors import RefusedValues, driver_errors
from transform.sinks.postgres_merge import Merge
from transform.sinks.postgres_tables import Cursor


def find_refused(cursor: Cursor, merge: Merge, changes: list[Change], most: int) -> list[Refusal]:
    """Write what can be written of these changes, and name the others, `most` of them at most.

    Runs in the caller's transaction, which the caller undoes. What could be written stays while the rest is
    tried, so that two rows which only stand in each other's way are found too.
    """
    if most <= 0:
        return []
    connection = cursor.connection
    try:
        with connection.transaction(), driver_errors(f"write {merge.table.target}", merge.names):
            merge.write(cursor, changes)
            cursor.execute("set constraints all immediate")  # what would only be found out at the commit
    except RefusedValues as error:
        if len(changes) == 1:
            column = None if error.constraint else _bad_column(connection, merge, changes[0])
            return [refusal(merge.table, changes[0], str(error), column, error.constraint)]
        middle = len(changes) // 2
        found = find_refused(cursor, merge, changes[:middle], most)
        return found + find_refused(cursor, merge, changes[middle:], most - len(found))
    return []


def _bad_column(connection: psycopg.Connection[Any], merge: Merge, change: Change) -> str | None:
    """The first column whose value has not the form of its type."""
    shape = merge.shapes()[0]
    for column, value in zip(merge.table.columns, change.values or (), strict=False):
        cast = sql.SQL("select %s::text::{}").format(sql.SQL(shape[column.name].type))
        try:
            with connection.transaction(), driver_errors("try a value"):
                connection.execute(cast, [value])
        except RefusedValues:
            return column.name
    return None
