"""Names as Redshift keeps them: folded to lower case, quoted, at most 127 bytes."""

from collections.abc import Iterable
from typing import LiteralString

from pgevents.errors import TerminalError
from redshift_writer.sql import Sql, joined

MAX_BYTES = 127
CONTROL_COLUMNS = ("_version", "_deleted", "_newest", "_clause", "_applied_at")
"""Columns that the writer adds to what the user has."""

_FOLDED = str.maketrans({chr(letter): chr(letter).lower() for letter in range(ord("A"), ord("Z") + 1)})


def folded(name: str) -> str:
    """A name as Redshift compares it: ASCII letters lose their case even in quotes, others keep it."""
    return name.translate(_FOLDED)


def quoted(name: str) -> Sql:
    """A name as SQL, safe whatever it is made of.

    Raises TerminalError for a name that Redshift cannot have.
    """
    if not name or "\0" in name or len(name.encode(errors="surrogatepass")) > MAX_BYTES:
        raise TerminalError(
            f"{name!r} cannot be a name in Redshift: expected 1 to {MAX_BYTES} bytes without NUL; "
            "give the route a shorter target or the column another name in its transform"
        )
    return Sql('"' + folded(name).replace('"', '""') + '"')


def qualified(schema: str, name: str) -> Sql:
    """A table's name with its schema, as SQL."""
    return joined((quoted(schema), quoted(name)), ".")


def listed(names: Iterable[str], prefix: LiteralString = "") -> Sql:
    """Column names as SQL, separated by commas, each behind a prefix like `s.`."""
    return joined(Sql(prefix + quoted(name)) for name in names)


def refuse_ambiguous(target: str, columns: Iterable[str]) -> None:
    """Raises TerminalError when columns are one name for Redshift, or have one of the writer's own."""
    seen: dict[str, str] = {}
    for column in columns:
        name = folded(column)
        if name in CONTROL_COLUMNS:
            raise TerminalError(
                f"{target}: column {column!r} has a name that the Redshift writer needs for itself; "
                "rename it in the transform"
            )
        if name in seen:
            raise TerminalError(
                f"{target}: columns {seen[name]!r} and {column!r} are one name in Redshift, "
                "which does not tell upper case from lower; rename one in the transform"
            )
        seen[name] = column
