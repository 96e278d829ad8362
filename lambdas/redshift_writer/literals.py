"""PostgreSQL's text of a value as a Redshift literal, checked here so that one that cannot go is named.

A literal is all that a value ever becomes: numbers are let through by their form, everything else is quoted.
"""

import json
import re
from collections.abc import Callable
from datetime import date
from typing import Literal

import msgspec

from pgevents.config import Policies
from redshift_writer.arrays import array_to_json, element_to_json
from redshift_writer.sql import Sql
from redshift_writer.types import NUMERIC_DIGITS, RedshiftType, base_name, element_of

Literalizer = Callable[[str], str]
Problem = Literal["too_long", "out_of_range", "malformed"]
NULL = "null"

_FIRST_YEAR, _LAST_YEAR = -4713, 294_276


class Unfit(Exception):
    """A value that its column cannot hold. `problem` chooses the policy; malformed has none."""

    def __init__(self, problem: Problem, reason: str) -> None:
        super().__init__(reason)
        self.problem = problem


class Quoting(msgspec.Struct, frozen=True):
    """How the server reads a plain string: whether a backslash in it escapes what follows."""

    backslash_escapes: bool

    def string(self, text: str) -> Sql:
        """A text as a string literal that nothing in it can end early."""
        if "\0" in text:
            raise Unfit("malformed", "holds a NUL character, which no string of a database can")
        if self.backslash_escapes:
            text = text.replace("\\", "\\\\")
        return Sql("'" + text.replace("'", "''") + "'")


def literalizer(
    postgres_type: str, column: RedshiftType, policies: Policies, quoting: Quoting, is_key: bool = False
) -> Literalizer:
    """What turns the text of a column's values into literals; it raises Unfit for what must be a dead letter.

    A key is never cut or nulled: two rows would become one.
    """
    literal = _unchecked(postgres_type, column, quoting)
    if is_key or policies == Policies():
        return literal
    shorten = _cut(column, quoting) if policies.too_long == "truncate" and column.family == "string" else None

    def with_policies(text: str) -> str:
        try:
            return literal(text)
        except Unfit as unfit:
            if unfit.problem == "too_long" and shorten is not None:
                return shorten(text)
            if unfit.problem != "malformed" and getattr(policies, unfit.problem) == "null":
                return NULL
            raise

    return with_policies


def argument_of(literal: Literalizer) -> Literalizer:
    """The string that a literal of the form `f('...')` gives to its function, as a literal of its own."""

    def argument(text: str) -> str:
        call = literal(text)
        return call if call == NULL else call[call.index("(") + 1 : -1]

    return argument


def _cut(column: RedshiftType, quoting: Quoting) -> Literalizer:
    def literal(text: str) -> str:
        return quoting.string(text.encode()[: column.limit].decode(errors="ignore"))

    return literal


def _unchecked(postgres_type: str, column: RedshiftType, quoting: Quoting) -> Literalizer:
    match column.family:
        case "integer":
            return _integer(column.limit)
        case "numeric":
            return _numeric(column.limit, column.scale)
        case "float":
            return _float(column.limit)
        case "boolean":
            return _boolean
        case "string":
            return _string(column.limit, quoting)
        case "document":
            return _document(postgres_type, column.limit, quoting)
        case "binary":
            return _binary(column.limit)
        case _:
            return _moment(column.family)


# ASCII: the digits of other scripts, which \d takes too, would stand in SQL as names.
_INTEGER = re.compile(r"-?\d{1,20}", re.A)


def _integer(bits: int) -> Literalizer:
    least, most = -(1 << (bits - 1)), (1 << (bits - 1)) - 1

    def literal(text: str) -> str:
        if not _INTEGER.fullmatch(text):
            raise Unfit("malformed", f"{text[:40]!r} is not a whole number")
        if not least <= int(text) <= most:
            raise Unfit("out_of_range", f"{text} is not between {least} and {most}")
        return text

    return literal


_NUMERIC = re.compile(r"(?P<sign>-?)0*(?P<whole>\d*)(?:\.(?P<fraction>\d*?)0*)?", re.A)


def _numeric(precision: int, scale: int) -> Literalizer:
    most_whole = precision - scale

    def literal(text: str) -> str:
        match = _NUMERIC.fullmatch(text)
        if match is None or text in ("", "-", ".", "-."):
            _refuse_special(text, "NUMERIC")
            raise Unfit("malformed", f"{text[:40]!r} is not a number")
        whole, fraction = match["whole"], match["fraction"] or ""
        if len(whole) > most_whole or len(fraction) > scale:
            raise Unfit("out_of_range", f"{text[:60]} does not fit NUMERIC({precision},{scale}) exactly")
        return f"{match['sign']}{whole or 0}.{fraction}" if fraction else match["sign"] + (whole or "0")

    return literal


_SPECIAL = frozenset(("nan", "infinity", "-infinity", "inf", "-inf"))


def _refuse_special(text: str, name: str) -> None:
    if text.lower() in _SPECIAL:
        raise Unfit("out_of_range", f"{text} is no value of {name} in Redshift")


_FLOAT = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?P<exponent>[eE][+-]?\d+)?", re.A)
_NEGATIVE_ZERO = re.compile(r"-[0.]+")
_MOST_FLOAT = {32: 3.4028235677973366e38, 64: float("inf")}


def _float(bits: int) -> Literalizer:
    def literal(text: str) -> str:
        match = _FLOAT.fullmatch(text)
        if match is None:
            _refuse_special(text, "FLOAT")
            raise Unfit("malformed", f"{text[:40]!r} is not a number")
        if abs(float(text)) >= _MOST_FLOAT[bits]:
            raise Unfit("out_of_range", f"{text[:40]} is beyond a float of {bits} bits")
        # A bare number would be read as a NUMERIC first, which ends at 38 digits and has no negative zero.
        bare = match["exponent"] is None and len(text) < NUMERIC_DIGITS and not _NEGATIVE_ZERO.fullmatch(text)
        return text if bare else f"'{text}'::float8"

    return literal


def _boolean(text: str) -> str:
    if text not in ("t", "f"):
        raise Unfit("malformed", f"{text[:40]!r} is neither 't' nor 'f'")
    return "true" if text == "t" else "false"


def _string(limit: int, quoting: Quoting) -> Literalizer:
    surely_short = limit // 4

    def literal(text: str) -> str:
        if len(text) > surely_short:
            _require_bytes(text, limit)
        return quoting.string(text)

    return literal


def _require_bytes(text: str, limit: int) -> None:
    size = len(text.encode())
    if size > limit:
        raise Unfit("too_long", f"{size} bytes are more than the {limit} that the column holds")


_MANY_DIGITS = re.compile(rf"\d[\d.]{{{NUMERIC_DIGITS}}}")
_JSON_NUMBERS = re.compile(r'"(?:[^"\\]|\\.)*+"|(?P<whole>\d+)(?:\.(?P<fraction>\d+))?', re.S)
_NUL_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def _document(postgres_type: str, limit: int, quoting: Quoting) -> Literalizer:
    element_type = element_of(postgres_type)
    element = element_to_json(base_name(element_type)[0]) if element_type else None
    may_repeat = "json" in (postgres_type, element_type)  # jsonb keeps one attribute of a name

    def literal(text: str) -> str:
        document = text if element is None else _array(text, element)
        require_json(document, may_repeat)
        if len(document) > limit // 4:
            _require_bytes(document, limit)
        return f"json_parse({quoting.string(document)})"

    return literal


def _array(text: str, element: Literalizer) -> str:
    try:
        return array_to_json(text, element)
    except (ValueError, KeyError) as error:
        if any(special in text.lower() for special in ("nan", "infinity")):
            raise Unfit("out_of_range", f"{error}") from error
        raise Unfit("malformed", f"{text[:60]!r} is not an array: {error}") from error


def require_json(document: str, may_repeat: bool) -> None:
    """Raises Unfit for what is no JSON and what SUPER cannot keep: numbers of over 38 digits, NUL, and two
    attributes of one name, which are looked for in a document that `may_repeat` one."""
    try:
        msgspec.json.decode(document, type=msgspec.Raw)
    except (msgspec.MsgspecError, UnicodeEncodeError) as error:
        raise Unfit("malformed", f"{document[:60]!r} is not JSON: {error}") from error
    if _MANY_DIGITS.search(document):
        for number in _JSON_NUMBERS.finditer(document):
            digits = (number["whole"] or "").lstrip("0") + (number["fraction"] or "").rstrip("0")
            if len(digits) > NUMERIC_DIGITS:
                raise Unfit("out_of_range", f"a number of {len(digits)} digits, SUPER keeps {NUMERIC_DIGITS}")
    if "\\u0000" in document and _NUL_ESCAPE.search(document):
        raise Unfit("out_of_range", "a string with a NUL character, which SUPER cannot keep")
    if may_repeat:
        json.loads(document, object_pairs_hook=_require_distinct)


def _require_distinct(attributes: list[tuple[str, object]]) -> None:
    names = [name for name, _ in attributes]
    if len(set(names)) != len(names):
        raise Unfit("malformed", "an object has two attributes of one name, which JSON_PARSE refuses")


_BINARY = re.compile(r"\\x((?:[0-9a-fA-F]{2})*+)", re.A)


def _binary(limit: int) -> Literalizer:
    def literal(text: str) -> str:
        match = _BINARY.fullmatch(text)
        if match is None:
            raise Unfit("malformed", f"{text[:40]!r} is not bytea in hexadecimal form")
        if (size := len(match[1]) // 2) > limit:
            raise Unfit("too_long", f"{size} bytes are more than the {limit} that a literal can carry")
        return f"from_hex('{match[1]}')"

    return literal


_DATE = r"(?P<year>\d{4,7})-(?P<month>0[1-9]|1[0-2])-(?P<day>0[1-9]|[12]\d|3[01])"
_CLOCK = r"(?:(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?|24:00(?::00(?:\.0{1,6})?)?)"
_OFFSET = r"(?:Z|[+-](?:0\d|1[0-5])(?::?[0-5]\d(?::[0-5]\d)?)?)"
_BC = r"(?P<bc> BC)?"
_MOMENTS = {
    "date": re.compile(_DATE + _BC, re.A),
    "timestamp": re.compile(f"{_DATE}[ T]{_CLOCK}{_BC}", re.A),
    "timestamptz": re.compile(f"{_DATE}[ T]{_CLOCK}{_OFFSET}{_BC}", re.A),
    "time": re.compile(_CLOCK, re.A),
    "timetz": re.compile(_CLOCK + _OFFSET, re.A),
}


def _moment(family: str) -> Literalizer:
    pattern = _MOMENTS[family]
    has_date = "year" in pattern.groupindex

    def literal(text: str) -> str:
        match = pattern.fullmatch(text)
        if match is None:
            _refuse_special(text, family.upper())
            raise Unfit("malformed", f"{text[:40]!r} is not a {family} as PostgreSQL prints it")
        if has_date:
            _require_day(match)
        return f"'{text}'"

    return literal


def _require_day(match: re.Match[str]) -> None:
    year = -int(match["year"]) if match["bc"] else int(match["year"])
    if not _FIRST_YEAR <= year <= _LAST_YEAR or year == 0:
        raise Unfit("out_of_range", f"the year {year} is not between {_FIRST_YEAR} and {_LAST_YEAR}")
    if int(match["day"]) > 28:
        # The calendar repeats every 400 years; 1 BC was a leap year.
        same = (year if year > 0 else year + 1) % 400 + 2000
        try:
            date(same, int(match["month"]), int(match["day"]))
        except ValueError as error:
            raise Unfit("malformed", f"{match.group()} is no day: {error}") from error
