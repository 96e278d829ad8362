"""From changes to the SQL statements that an application would send."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from psycopg import Connection, sql
from psycopg.types.json import Jsonb

from demo.history import Changes, Row
from pgevents.errors import InputError

Query = sql.SQL | sql.Composed


class Table(NamedTuple):
    """A table of a source database, and the column that tells its rows apart in the history."""

    source: str
    schema: str
    name: str
    key: str

    @property
    def full_name(self) -> str:
        """`database.schema.table`, as change events name it."""
        return f"{self.source}.{self.schema}.{self.name}"

    @property
    def identifier(self) -> sql.Identifier:
        """The table's name for a statement."""
        return sql.Identifier(self.schema, self.name)


class Statement(NamedTuple):
    """A statement, and the change events that it must cause: their type, and how many."""

    table: Table
    event_type: str
    events: int
    query: Query
    parameters: Sequence[Any] = ()

    def run(self, connection: Connection[Any]) -> None:
        """Sends the statement in the connection's transaction.

        Raises InputError when PostgreSQL counts other rows than the history says.
        """
        rows = connection.execute(self.query, self.parameters).rowcount
        if self.event_type != "TRUNCATE" and rows != self.events:
            raise InputError(
                f"{self.table.full_name}: {self.event_type} of {self.events} rows took {rows}; something "
                "else writes to this table: replay into a fresh state folder"
            )


def of_changes(table: Table, changes: Changes[Any, Any]) -> Iterator[Statement]:
    """The deletes, updates and inserts of one release on one table."""
    if changes.deleted:
        yield _delete(table, changes.deleted)
    for key, columns in changes.updated.items():
        yield _update(table, key, columns)
    if changes.inserted:
        yield insert(table, changes.inserted)


def insert(table: Table, rows: Sequence[Row]) -> Statement:
    """One statement that inserts all the rows."""
    columns = rows[0].__struct_fields__
    line = sql.SQL("({})").format(sql.SQL(", ").join([sql.Placeholder()] * len(columns)))
    query = sql.SQL("insert into {} ({}) values {}").format(
        table.identifier,
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join([line] * len(rows)),
    )
    parameters = [_adapted(value) for row in rows for value in msgspec.structs.astuple(row)]
    return Statement(table, "INSERT", len(rows), query, parameters)


def truncate(table: Table) -> Statement:
    """Empties the table: one event, whatever it held."""
    return Statement(table, "TRUNCATE", 1, sql.SQL("truncate {}").format(table.identifier))


def delete_where(table: Table, condition: Query, rows: int) -> Statement:
    """Deletes the rows that meet a condition, of which there must be as many as given."""
    query = sql.SQL("delete from {} where {}").format(table.identifier, condition)
    return Statement(table, "DELETE", rows, query)


def _delete(table: Table, keys: Sequence[Hashable]) -> Statement:
    query = sql.SQL("delete from {} where {} = any(%s)").format(table.identifier, sql.Identifier(table.key))
    return Statement(table, "DELETE", len(keys), query, [list(keys)])


def _update(table: Table, key: Hashable, columns: Mapping[str, Any]) -> Statement:
    assignments = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder()) for name in columns]
    query = sql.SQL("update {} set {} where {} = {}").format(
        table.identifier, sql.SQL(", ").join(assignments), sql.Identifier(table.key), sql.Placeholder()
    )
    return Statement(table, "UPDATE", 1, query, [*map(_adapted, columns.values()), key])


def _adapted(value: Any) -> Any:
    return Jsonb(value) if isinstance(value, dict) else value
