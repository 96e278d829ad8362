"""A whole column's values as literals at once, where all of them are plain.

`plain` looks at a column in one go, so that most values need no look of their own: a batch is rendered in a
third of the time that a call for each value takes.
"""

from collections.abc import Callable
from functools import lru_cache

from redshift_writer.literals import NULL, Quoting
from redshift_writer.plain import Texts, plain
from redshift_writer.types import RedshiftType

Literals = list[str]
ColumnLiterals = Callable[[Texts], Literals | None]
"""From a column's values to their literals; None when some have to be looked at one by one."""

_BOOLEANS = {"t": "true", "f": "false"}


@lru_cache(1_024)
def plain_literals(
    postgres_type: str, column: RedshiftType, quoting: Quoting, *, is_key: bool
) -> ColumnLiterals | None:
    """How a column's values become literals at once, None when they never do."""
    look = plain(postgres_type, column, is_key=is_key)
    if look is None:
        return None
    written = _written(column.family, quoting)

    def literals(values: Texts) -> Literals | None:
        texts, unfit = look(values)
        if unfit:
            return None
        present = written([text for text in texts if text is not None])
        if len(present) == len(texts):
            return present
        remaining = iter(present)
        return [NULL if text is None else next(remaining) for text in texts]

    return literals


def _written(family: str, quoting: Quoting) -> Callable[[Literals], Literals]:
    """What makes literals of plain texts, none of which is None."""
    match family:
        case "integer" | "numeric" | "float":
            return lambda texts: texts
        case "boolean":
            return lambda texts: [_BOOLEANS[text] for text in texts]
        case "binary":
            return lambda texts: [f"from_hex('{text}')" for text in texts]
        case "document":
            return lambda texts: [f"json_parse({text})" for text in _quoted(texts, quoting)]
        case _:
            return lambda texts: _quoted(texts, quoting)


def _quoted(texts: Literals, quoting: Quoting) -> Literals:
    joined = "".join(texts)
    if "'" in joined or "\\" in joined:
        return [quoting.string(text) for text in texts]
    return [f"'{text}'" for text in texts]
