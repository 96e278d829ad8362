"""PostgreSQL's COPY text format, as fields."""

import re
from collections.abc import Iterable, Iterator

_ESCAPE = re.compile(r"\\(.)", re.S)
_UNESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

Fields = list[str | None]


def rows(copied: bytes) -> list[Fields]:
    """The fields of each row of a COPY ... TO STDOUT in text format, None for NULL."""
    return list(streamed([copied]))


def streamed(blocks: Iterable[bytes | bytearray | memoryview]) -> Iterator[Fields]:
    """The same, row by row as the blocks come, which may end anywhere.

    The server sends a row a block. A long one is never copied more often than it must, and takes no more room
    for the characters of another one.
    """
    begun = b""
    for block in blocks:
        if begun or block[-1:] != b"\n":
            complete, newline, begun = b"".join((begun, block)).rpartition(b"\n")
            text = (complete + newline).decode("utf-8")
        else:
            text = str(block, "utf-8")
        if text and text.find("\n") == len(text) - 1:
            fields = text.split("\t")
            del text
            fields[-1] = fields[-1][:-1]
            yield _values(fields)
        else:
            yield from (_values(line.split("\t")) for line in text.split("\n")[:-1])


def _values(fields: list[str]) -> Fields:
    return [None if field == "\\N" else _unescaped(field) if "\\" in field else field for field in fields]


def _unescaped(field: str) -> str:
    return _ESCAPE.sub(lambda match: _UNESCAPED.get(match[1], match[1]), field)
