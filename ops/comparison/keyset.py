"""Reading a PostgreSQL table by its key: page after page, or a list of keys, each by the key's index."""

from collections.abc import Sequence

from psycopg import sql

from pgevents.batch import Column, Values

# As the outbox is printed: equal values have equal text then.
SESSION = """
select
    set_config('datestyle', 'ISO', false), set_config('timezone', 'UTC', false),
    set_config('intervalstyle', 'iso_8601', false), set_config('bytea_output', 'hex', false),
    set_config('extra_float_digits', '1', false)
"""


def behind(key: Sequence[Column], last: Values) -> sql.Composable:
    """The condition for the rows behind a key in the table's own order; any row when there is no key."""
    if not last:
        return sql.SQL("true")
    return sql.SQL("({}) > ({})").format(
        names(key),
        sql.SQL(", ").join(
            sql.SQL("{}::{}").format(sql.Literal(text), sql.SQL(column.type))
            for column, text in zip(key, last, strict=True)
        ),
    )


def wanted(key: Sequence[Column], keys: Sequence[Values]) -> sql.Composed:
    """A list of keys as a subquery `w` with the key's columns and `place`, the position in the list."""
    columns = list(zip(*keys, strict=True))
    return sql.SQL("(select {}, place from unnest({}) with ordinality as u ({}, place)) as w").format(
        sql.SQL(", ").join(
            sql.SQL("u.{0}::{1} as {0}").format(sql.Identifier(column.name), sql.SQL(column.type))
            for column in key
        ),
        sql.SQL(", ").join(sql.SQL("{}::text[]").format(sql.Literal(list(column))) for column in columns),
        names(key),
    )


def same_key(key: Sequence[Column], row_name: str) -> sql.Composed:
    """The condition for a row to have the key of `w`."""
    return sql.SQL(" and ").join(
        sql.SQL("{0}.{1} = w.{1}").format(sql.Identifier(row_name), sql.Identifier(column.name))
        for column in key
    )


def names(columns: Sequence[Column], row_name: str | None = None) -> sql.Composed:
    """The columns' names, separated by commas."""
    prefix = () if row_name is None else (row_name,)
    return sql.SQL(", ").join(sql.Identifier(*prefix, column.name) for column in columns)
