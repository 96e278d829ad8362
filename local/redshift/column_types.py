"""Redshift's column types as PostgreSQL's, with the limits that Redshift counts in bytes."""

import zlib
from typing import NamedTuple

from local.redshift.refusals import MAX_VARCHAR_BYTES, TYPES, Refusal, Refused, unsupported_type

BYTE_LIMIT = "redshift_bytes_"
"""How the constraints begin that hold a string to its length in bytes."""

_CHARACTER = {
    "varchar": "varchar",
    "character varying": "varchar",
    "nvarchar": "varchar",
    "text": "varchar",
    "char": "char",
    "character": "char",
    "nchar": "char",
    "bpchar": "char",
}
_BINARY = frozenset(("varbyte", "varbinary", "binary varying"))
_DEFAULT_LENGTH = {"varchar": 256, "char": 1, "text": 256, "bpchar": 256, "varbyte": 64_000}
_MOST = {"varchar": MAX_VARCHAR_BYTES, "char": 4_096, "varbyte": 16_777_216}
_ALIASES = {"float4": "real", "float": "double precision", "float8": "double precision"}
_UNKNOWN = frozenset(("geometry", "geography", "hllsketch"))


class ColumnType(NamedTuple):
    """A type in PostgreSQL's words, and the limit in bytes that a check has to hold, 0 for none."""

    sql: str
    bytes: int = 0

    def check(self, column: str) -> str:
        """The constraint on a column that holds the limit, "" without one. `column` is an unquoted name."""
        if not self.bytes:
            return ""
        quoted = column.replace('"', '""')
        return f' constraint {constraint_name(column)} check (octet_length("{quoted}") <= {self.bytes})'


def constraint_name(column: str) -> str:
    """What the byte limit of a column is called. Short, for PostgreSQL cuts names at 63 bytes."""
    return f"{BYTE_LIMIT}{zlib.crc32(column.encode()):08x}"


def translated(words: str, arguments: str) -> ColumnType:
    """A type name in lower case, single spaces, and what stood in its parentheses, as PostgreSQL has it.

    Raises Refused for a type that Redshift does not have and for a length that it does not take.
    """
    if words in TYPES or words.endswith("[]"):
        raise Refused(unsupported_type(words))
    if words in _UNKNOWN:
        raise Refused(Refusal("0A000", f"this stand-in for Redshift does not know the type {words}"))
    if words in _CHARACTER:
        kind = _CHARACTER[words]
        length = _length(words, kind, arguments)
        return ColumnType(f"{kind}({length})", length)
    if words in _BINARY:
        return ColumnType("varbyte", _length("varbyte", "varbyte", arguments))
    if words in ("numeric", "decimal"):
        return ColumnType(f"numeric({_precision(arguments)})")
    name = _ALIASES.get(words, words)
    return ColumnType(f"{name}({arguments})" if arguments and words != "float" else name)


def _length(words: str, kind: str, arguments: str) -> int:
    if not arguments:
        return _DEFAULT_LENGTH.get(words, _DEFAULT_LENGTH[kind])
    length = _MOST[kind] if arguments.lower() == "max" else int(arguments)
    if length > _MOST[kind]:
        raise Refused(Refusal("22023", f"length for type {words} cannot exceed {_MOST[kind]}"))
    return length


def _precision(arguments: str) -> str:
    if not arguments:
        return "18,0"
    precision, _, scale = arguments.partition(",")
    if not 1 <= int(precision) <= 38:
        raise Refused(Refusal("22023", f"DECIMAL precision {precision} must be between 1 and 38"))
    if scale and int(scale) > min(37, int(precision)):
        raise Refused(Refusal("22023", f"DECIMAL scale {scale} must be between 0 and precision {precision}"))
    return f"{int(precision)},{int(scale or 0)}"
