"""PostgreSQL's COPY text format, as fields."""

import re

_ESCAPE = re.compile(r"\\(.)", re.S)
_UNESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def rows(copied: bytes) -> list[list[str | None]]:
    """The fields of each row of a COPY ... TO STDOUT in text format, None for NULL."""
    lines = copied.decode("utf-8").split("\n")
    lines.pop()
    return [_fields(line) for line in lines]


def _fields(line: str) -> list[str | None]:
    fields: list[str | None] = list(line.split("\t"))
    if "\\" in line:
        return [_unescaped(field) for field in fields if field is not None]
    return fields


def _unescaped(field: str) -> str | None:
    if field == "\\N":
        return None
    return _ESCAPE.sub(lambda match: _UNESCAPED.get(match[1], match[1]), field) if "\\" in field else field
