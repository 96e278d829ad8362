"""Values in a form in which a source's and a sink's can be compared, and the hashes of rows and keys.

Two stores print one value differently: 1.50 is 1.500000000000000000 in Redshift. A form turns a text of
either into one that is equal exactly when the values are. A row's hash is made of its canonical values other
than the key, a key's hash of the key alone; PostgreSQL can make the same hash of a row (`digest_sql`).
"""

import json
import re
import struct
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from hashlib import sha256

import msgspec
from psycopg import sql

from pgevents.batch import Values

Form = Callable[[str], str | None]
"""A value's text in its canonical form; None where the store holds NULL instead of it."""

HASH_BYTES = 16

_AS_POSTGRESQL = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
# Their casts to text say something else than COPY does: true for t, 10.0.0.1/32 for 10.0.0.1.
_PRINTED_TYPES = frozenset(("boolean", "inet", "character", "bpchar"))


class Forms(msgspec.Struct, frozen=True):
    """How a store's rows of one target are made canonical.

    `columns` has a form for each of the target's columns; `as_written` says that the store keeps what a
    transform wrote and not what PostgreSQL makes of it (1E+2, not 100).
    """

    columns: tuple[Form, ...]
    as_written: bool = False

    def of(self, values: Sequence[str | None], positions: Sequence[int]) -> Values:
        """The canonical values of a row's columns at these positions."""
        columns = self.columns
        return tuple(
            None if (value := values[position]) is None else columns[position](value)
            for position in positions
        )


def hashed(values: Sequence[str | None]) -> bytes:
    """The hash of canonical values."""
    return sha256(_AS_POSTGRESQL.encode(values).encode()).digest()[:HASH_BYTES]


def digest_sql(values: Sequence[sql.Composable]) -> sql.Composed:
    """`hashed` as an expression over text expressions. JSON, because both sides escape it alike."""
    return sql.SQL(
        "pg_catalog.substr(pg_catalog.sha256(pg_catalog.convert_to("
        "pg_catalog.array_to_json(array[{}]::text[])::text, 'UTF8')), 1, {})"
    ).format(sql.SQL(", ").join(values), sql.Literal(HASH_BYTES))


def printed_sql(value: sql.Composable, column_type: str) -> sql.Composed:
    """An expression for the text that COPY prints of a value."""
    if column_type in _PRINTED_TYPES:
        return sql.SQL("case when {0} is not null then pg_catalog.format('%s', {0}) end").format(value)
    return sql.SQL("({})::text").format(value)


def as_it_is(text: str) -> str:
    """For a type of which equal values have equal texts."""
    return text


def number(text: str) -> str:
    """A number without the zeros that say nothing: 1.50 and 1.500 are 1.5."""
    if _PLAIN_NUMBER.fullmatch(text):
        plain = text.rstrip("0").rstrip(".") if "." in text else text
        return "0" if plain == "-0" else plain
    try:
        value = Decimal(text)
    except InvalidOperation:
        return text
    return number(format(value, "f")) if value.is_finite() else str(value)


def double(text: str) -> str:
    """A double precision value by its shortest digits."""
    return repr(float(text))


def real(text: str) -> str:
    """A real value by the digits of the double that it is exactly."""
    value = float(text)
    try:
        return repr(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return repr(value)


def truth(text: str) -> str:
    """A boolean as COPY prints it; a transform may have written true or false."""
    return text[:1].lower()


def document(text: str) -> str:
    """A JSON document without regard to spaces, the order of attributes and trailing zeros."""
    return json.dumps(json.loads(text, parse_float=_tagged), sort_keys=True, ensure_ascii=False)


def _tagged(text: str) -> object:
    plain = number(text)
    return int(plain) if re.fullmatch(r"-?[0-9]+", plain) else [plain]
