"""What CloudFormation is told: which statement failed, and where in it, and no more than it takes.

Its answer has 4,096 bytes in all; one that is longer fails the deployment with no word of the reason.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from pgevents import log
from pgevents.errors import InputError

_SHOWN = 300
"""Characters of a statement that are shown."""
_ERROR_BYTES = 1_500
_REST = " … the rest is in the function's log"


class NamingCursor(psycopg.Cursor[Any]):
    """A cursor whose errors carry the statement, as a note."""

    def execute(self, query: Any, *args: Any, **options: Any) -> "NamingCursor":
        """As psycopg's."""
        try:
            super().execute(query, *args, **options)
        except psycopg.Error as error:
            sent = query if isinstance(query, str) else query.as_string(self)
            error.add_note(f"statement: {_around(sent, error.diag.statement_position)}")
            raise
        return self


def fitted(text: str, most_bytes: int) -> str:
    """A text of at most so many bytes, but for the word that there is more."""
    encoded = text.encode()
    return text if len(encoded) <= most_bytes else encoded[:most_bytes].decode(errors="ignore") + _REST


@contextmanager
def error_fitted() -> Iterator[None]:
    """Cuts a long InputError; the whole of it is logged."""
    try:
        yield
    except InputError as error:
        whole = str(error)
        if (short := fitted(whole, _ERROR_BYTES)) == whole:
            raise
        log.error("refused", error=whole)
        raise InputError(short) from error


@contextmanager
def statement_named(source: str) -> Iterator[None]:
    """Turns an error of the database into an InputError of one line that names the statement."""
    try:
        yield
    except psycopg.Error as error:
        raise InputError(f"{source}: {_words(error)}") from error


def _words(error: psycopg.Error) -> str:
    diagnosis = error.diag
    named = {
        "detail": diagnosis.message_detail,
        "hint": diagnosis.message_hint,
        "in": diagnosis.internal_query,
    }
    parts = [f"{diagnosis.message_primary or error} ({error.sqlstate})"]
    parts += [f"{name}: {text}" for name, text in named.items() if text]
    parts += getattr(error, "__notes__", [])
    return "; ".join(" ".join(part.split())[:_SHOWN] for part in parts)


def _around(statement: str, position: str | None) -> str:
    """The statement from the line on where the error is; else from its first line that is no comment."""
    if position:
        start = statement.rfind("\n", 0, int(position) - 1) + 1
        return f"line {statement.count(chr(10), 0, start) + 1}: {statement[start:][:_SHOWN]}"
    lines = statement.splitlines()
    code = next((n for n, line in enumerate(lines) if line.strip() and not line.startswith("--")), 0)
    return "\n".join(lines[code:])[:_SHOWN]
