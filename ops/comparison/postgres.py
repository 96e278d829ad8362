"""What a PostgreSQL sink holds."""

import psycopg
from psycopg import sql

from ops.comparison.expected import SESSION, Content
from pgevents.batch import Values


def read_postgres(
    connection: psycopg.Connection, schema: str, content: Content
) -> dict[Values, tuple[object, ...]]:
    """The rows of a target, key → values in PostgreSQL's text; nothing while the target has not been made."""
    connection.execute(SESSION)
    table = sql.Identifier(schema, content.target)
    if connection.execute("select to_regclass(%s)", (table.as_string(connection),)).fetchone() == (None,):
        return {}
    values = sql.SQL(", ").join(
        sql.SQL("{}::text").format(sql.Identifier(column.name)) for column in content.columns
    )
    names = [column.name for column in content.columns]
    positions = [names.index(name) for name in content.key]
    rows = connection.execute(sql.SQL("select {} from {}").format(values, table)).fetchall()
    return {tuple(row[position] for position in positions): row for row in rows}


def as_printed(_: str, text: str) -> object:
    """PostgreSQL prints equal values alike: its text is the canonical form."""
    return text
