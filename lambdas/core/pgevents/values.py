"""Between PostgreSQL's text form of a value and the Python value that a transform sees."""

import math
from collections.abc import Callable
from decimal import Decimal

from pgevents.event import Value

_INTEGER = int
_DECODERS: dict[str, Callable[[str], Value]] = {
    "boolean": lambda text: text == "t",
    "smallint": _INTEGER,
    "integer": _INTEGER,
    "bigint": _INTEGER,
    "oid": _INTEGER,
    "real": float,
    "double precision": float,
    "numeric": Decimal,
}


def decoder(column_type: str) -> Callable[[str], Value] | None:
    """What turns a column's text into its Value, or None when the text is the value."""
    return _DECODERS.get(column_type)


def to_text(value: Value) -> str | None:
    """A Value in PostgreSQL's text form, None for NULL.

    Raises TypeError for any other type: it would have to be guessed how it should look.
    """
    match value:
        case None:
            return None
        case bool():
            return "t" if value else "f"
        case str():
            return value
        case int() | Decimal():
            return str(value)
        case float():
            return _float_text(value)
    raise TypeError(
        f"a {type(value).__name__} is no column value; expected None, bool, int, float, Decimal or str "
        "(PostgreSQL's own text of the value)"
    )


def _float_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)
