"""Between PostgreSQL's text form of a value and the Python value that a transform sees."""

import math
import re
from collections.abc import Callable
from decimal import Decimal

from pgevents.event import Value

_INTEGER = int
# What PostgreSQL's text cannot hold: the zero character, and halves of a character.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# numeric: digits before and after the point.
_MOST_DIGITS, _MOST_DECIMALS = 131_072, 16_383
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

    Raises TypeError for any other type: it would have to be guessed how it should look. Raises ValueError for
    what no PostgreSQL type holds.
    """
    if type(value) is str and value.isascii() and "\x00" not in value:
        return value  # nearly every value of nearly every record
    match value:
        case None:
            return None
        case bool():
            return "t" if value else "f"
        case str():
            return _storable(value)
        case int():
            return int.__repr__(value)
        case Decimal():
            return _decimal_text(value)
        case float():
            return _float_text(value)
    raise TypeError(
        f"a {type(value).__name__} is no column value; expected None, bool, int, float, Decimal or str "
        "(PostgreSQL's own text of the value)"
    )


def _storable(value: str) -> str:
    if found := _UNSTORABLE.search(value):
        where = f"{found[0]!r} at position {found.start()}"
        raise ValueError(f"the text has {where}, which PostgreSQL cannot store; take it out")
    return value if type(value) is str else str.__str__(value)


def _decimal_text(value: Decimal) -> str:
    if not value.is_finite():
        return "NaN" if value.is_nan() else _float_text(float(value))
    if value.adjusted() >= _MOST_DIGITS or -int(value.as_tuple().exponent) > _MOST_DECIMALS:
        raise ValueError(f"{str(value)[:40]} has more digits than PostgreSQL's numeric can hold")
    # As PostgreSQL prints it: without an exponent, and without a sign that a zero does not have.
    return format(value or value.copy_abs(), "f")


def _float_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)
