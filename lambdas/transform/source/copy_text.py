"""PostgreSQL's COPY text format, as fields."""

import re

_ESCAPE = re.compile(r"\\(.)", re.S)
_UNESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

Fields = list[str | None]


def rows(copied: bytes) -> list[Fields]:
    """The fields of each row of a COPY ... TO STDOUT in text format, None for NULL."""
    return [_values(line.split("\t")) for line in copied.decode("utf-8").split("\n")[:-1]]


def _values(fields: list[str]) -> Fields:
    return [None if field == "\\N" else _unescaped(field) if "\\" in field else field for field in fields]


def _unescaped(field: str) -> str:
    return _ESCAPE.sub(lambda match: _UNESCAPED.get(match[1], match[1]), field)
