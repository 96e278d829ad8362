"""What Redshift holds."""

import json
from decimal import Decimal

import psycopg.conninfo

from ops.comparison.expected import Content
from pgevents.batch import Values
from pgevents.settings import Connection
from redshift_writer.arrays import array_to_json, element_to_json
from redshift_writer.connect import Session, open_session
from redshift_writer.identifiers import listed, qualified
from redshift_writer.simple_query import ServerError
from redshift_writer.sql import sql
from redshift_writer.types import base_name, element_of, for_postgres

_UNDEFINED_TABLE = "42P01"


def open_redshift(dsn: str) -> Session:
    """A session of its own, with the writer's driver. Raises TransientError when Redshift cannot be
    reached."""
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    settings = Connection(
        str(parts["host"]),
        int(parts["port"] or 0),
        str(parts["dbname"]),
        str(parts["user"]),
        sslmode="disable",
    )
    return open_session(settings, lambda _: "")


def read_redshift(session: Session, schema: str, content: Content) -> dict[Values, tuple[object, ...]]:
    """The rows of a target, key → canonical values; nothing while the target has not been made."""
    names = [column.name for column in content.columns]
    query = sql(
        "select {columns} from {table}", columns=listed(names), table=qualified(schema, content.target)
    )
    try:
        rows = session.run(query).rows
    except ServerError as error:
        if error.code == _UNDEFINED_TABLE:
            return {}
        raise
    types = [column.type for column in content.columns]
    positions = [names.index(name) for name in content.key]
    found: dict[Values, tuple[object, ...]] = {}
    for row in rows:
        values = tuple(
            None if value is None else in_redshift(kind, value, of_array=False)
            for kind, value in zip(types, row, strict=True)
        )
        found[tuple(values[position] for position in positions)] = values  # type: ignore[misc]
    return found


def in_redshift(postgres_type: str, text: str, *, of_array: bool = True) -> object:
    """A value as it can be compared, from PostgreSQL's text or from Redshift's of the type that it was given.

    `of_array` tells whether an array is in PostgreSQL's form, braces, and not yet the JSON that SUPER holds.
    """
    match for_postgres(postgres_type).family:
        case "integer" | "numeric":
            return Decimal(text)
        case "float":
            return float(text)
        case "boolean":
            return text in ("t", "true")
        case "binary":
            return text.removeprefix("\\x").lower()
        case "document":
            return json.dumps(
                json.loads(_document(postgres_type, text, of_array), parse_float=Decimal),
                default=str,
                sort_keys=True,
            )
        case _:
            return text


def _document(postgres_type: str, text: str, of_array: bool) -> str:
    element = element_of(postgres_type)
    if element is None or not of_array:
        return text
    return array_to_json(text, element_to_json(base_name(element)[0]))
