"""Which Redshift type holds a PostgreSQL type."""

import re
from typing import Literal

import msgspec

from redshift_writer.sql import Sql, sql

Family = Literal[
    "integer",
    "numeric",
    "float",
    "boolean",
    "string",
    "date",
    "timestamp",
    "timestamptz",
    "time",
    "timetz",
    "document",
    "binary",
]

MAX_STRING_BYTES = 65_535
"""The longest VARCHAR, and the longest string of JSON that JSON_PARSE takes."""
MAX_BINARY_BYTES = 32_767
"""The longest VARBYTE that a literal can carry: FROM_HEX takes a VARCHAR, two digits a byte."""
NUMERIC_DIGITS = 38
NUMERIC_SCALE = 18
"""Digits behind the point of a numeric that declares none: 20 remain before it."""


class RedshiftType(msgspec.Struct, frozen=True):
    """A column's type.

    `limit` is what values are held to: bits of an integer or a float, digits of a numeric, bytes of a string
    or of binary; 0 for the others. `scale` are a numeric's digits behind the point.
    """

    family: Family
    limit: int = 0
    scale: int = 0

    @property
    def sql(self) -> Sql:
        """As CREATE TABLE has it."""
        match self.family:
            case "integer":
                return Sql({16: "smallint", 32: "integer", 64: "bigint"}[self.limit])
            case "numeric":
                return sql("numeric({limit},{scale})", limit=self.limit, scale=self.scale)
            case "float":
                return sql("real") if self.limit == 32 else sql("double precision")
            case "string":
                return sql("varchar({limit})", limit=self.limit)
            case "document":
                return sql("super")
            case "binary":
                return sql("varbyte({limit})", limit=self.limit)
            case _:
                return Sql(self.family)

    def takes(self, wanted: "RedshiftType") -> bool:
        """Whether a column of this type can hold what was meant for another, each value checked by itself."""
        if self.family in (wanted.family, "string"):
            return True
        return self.family == "numeric" and wanted.family == "integer"


STRING = RedshiftType("string", MAX_STRING_BYTES)
DOCUMENT = RedshiftType("document", MAX_STRING_BYTES)
BINARY = RedshiftType("binary", MAX_BINARY_BYTES)

_SIMPLE = {
    "boolean": RedshiftType("boolean"),
    "smallint": RedshiftType("integer", 16),
    "integer": RedshiftType("integer", 32),
    "bigint": RedshiftType("integer", 64),
    "oid": RedshiftType("integer", 64),
    "real": RedshiftType("float", 32),
    "double precision": RedshiftType("float", 64),
    "date": RedshiftType("date"),
    "timestamp without time zone": RedshiftType("timestamp"),
    "timestamp with time zone": RedshiftType("timestamptz"),
    "time without time zone": RedshiftType("time"),
    "time with time zone": RedshiftType("timetz"),
    "uuid": RedshiftType("string", 36),
    "interval": RedshiftType("string", 128),
    "inet": RedshiftType("string", 64),
    "cidr": RedshiftType("string", 64),
    "macaddr": RedshiftType("string", 32),
    "macaddr8": RedshiftType("string", 32),
    "json": DOCUMENT,
    "jsonb": DOCUMENT,
    "bytea": BINARY,
}
_ALIASES = {
    "bool": "boolean",
    "int2": "smallint",
    "int": "integer",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "decimal": "numeric",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "time": "time without time zone",
    "timetz": "time with time zone",
    "varchar": "character varying",
    "char": "character",
    "bpchar": "character",
    "varbyte": "binary varying",
    "bytea": "binary varying",
}
_MODIFIED = re.compile(r"(?P<name>[^(]+?) ?\((?P<arguments>[\d,\s]+)\)(?P<rest>.*)", re.S)


def base_name(name: str) -> tuple[str, tuple[int, ...]]:
    """A type's full name without its modifiers, and these: `numeric(12,2)` is ("numeric", (12, 2))."""
    arguments: tuple[int, ...] = ()
    if match := _MODIFIED.fullmatch(name):
        name = match["name"] + match["rest"]
        arguments = tuple(int(argument) for argument in match["arguments"].split(","))
    return _ALIASES.get(name, name) if name != "bytea" else name, arguments


def element_of(name: str) -> str | None:
    """The element type of an array type, None when it is none."""
    return name[:-2] if name.endswith("[]") else None


def for_postgres(name: str) -> RedshiftType:
    """The type that holds all or nearly all values of a PostgreSQL type; the rest falls under the policies.

    `name` as `format_type` prints it, in lower case, with or without modifiers. What Redshift has no type for
    (enums, ranges, xml, composites, ...) is kept in PostgreSQL's own text form.
    """
    if element_of(name) is not None:
        return DOCUMENT
    base, arguments = base_name(name)
    if base == "numeric":
        return _numeric(arguments)
    if base in ("character varying", "character") and arguments:
        # PostgreSQL counts characters, of up to four bytes each.
        return RedshiftType("string", min(4 * arguments[0], MAX_STRING_BYTES))
    return _SIMPLE.get(base, STRING)


def _numeric(arguments: tuple[int, ...]) -> RedshiftType:
    if arguments and arguments[0] <= NUMERIC_DIGITS:
        return RedshiftType("numeric", arguments[0], min(arguments[1] if len(arguments) > 1 else 0, 37))
    return RedshiftType("numeric", NUMERIC_DIGITS, NUMERIC_SCALE)


def from_catalog(name: str) -> RedshiftType | None:
    """The type of an existing column as `format_type` prints it, None for one that the writer cannot fill."""
    base, arguments = base_name(name)
    if base == "super":
        return DOCUMENT
    if base in ("binary varying", "bytea"):
        return RedshiftType("binary", min(arguments[0], MAX_BINARY_BYTES) if arguments else MAX_BINARY_BYTES)
    if base in ("character varying", "character"):
        return RedshiftType("string", arguments[0] if arguments else MAX_STRING_BYTES)
    if base == "numeric":
        return _numeric(arguments)
    known = _SIMPLE.get(base)
    return known if known is not None and known.family not in ("string", "document", "binary") else None
