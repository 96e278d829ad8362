"""PostgreSQL's text form of an array as JSON: `{1,NULL,"a b"}` is `[1,null,"a b"]`."""

import re
from collections.abc import Callable

import msgspec

_BOUNDS = re.compile(r"(?:\[[+-]?\d+:[+-]?\d+\])+=")
_ITEM = re.compile(r'[{},]|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^{},"]+)', re.S)
_ESCAPED = re.compile(r"\\(.)", re.S)

Element = Callable[[str], str]


def array_to_json(text: str, element: Element, separator: str = ",") -> str:
    """An array of any depth as JSON; `element` turns one element's text into JSON.

    Lower bounds other than 1 have no place in JSON and are left out. Raises ValueError for what is no array.
    """
    body = _BOUNDS.sub("", text, count=1) if text.startswith("[") else text
    parts: list[str] = []
    depth, position = 0, 0
    for item in _ITEM.finditer(body):
        if item.start() != position or (position and not depth):
            break
        position = item.end()
        depth += _append(parts, item, element)
    if depth or position != len(body) or not body.startswith("{"):
        raise ValueError("not an array in PostgreSQL's text form")
    return "".join(parts)


def _append(parts: list[str], item: re.Match[str], element: Element) -> int:
    """Appends one piece of an array; by how much it changes the depth."""
    if (quoted := item["quoted"]) is not None:
        parts.append(element(_ESCAPED.sub(r"\1", quoted) if "\\" in quoted else quoted))
        return 0
    if (bare := item["bare"]) is not None:
        parts.append("null" if bare.upper() == "NULL" else element(bare.replace("\\", "")))
        return 0
    match item.group():
        case "{":
            parts.append("[")
            return 1
        case "}":
            parts.append("]")
            return -1
        case _:
            parts.append(",")
            return 0


_JSON_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.A)
_NUMBERS = frozenset(("smallint", "integer", "bigint", "oid", "numeric", "real", "double precision"))


def element_to_json(element_type: str) -> Element:
    """What turns the text of an element of a type into JSON: numbers, booleans and documents as such,
    everything else as a string."""
    if element_type in _NUMBERS:
        return _number
    if element_type == "boolean":
        return _boolean
    if element_type in ("json", "jsonb"):
        return str
    return _string


_BARE = re.compile(r"([^{},\n\0]+)")
_BARE_NULL = re.compile(r'"null"', re.I)
_NUMBERS_ONLY = re.compile(r"[\d{},.eE+\-NUL\n]*+", re.A)


def arrays_to_json(texts: list[str], element_type: str) -> list[str] | None:
    """A whole column of arrays as `array_to_json` makes them one by one, a tenth of its time.

    None when one of them takes a closer look. One that is no array comes out as text that is no JSON.
    """
    joined = "\n".join(texts)
    # Escapes, control characters, and what does not open as an array are not for the short ways below.
    if "\\" in joined or not joined.replace("\n", "").isprintable():
        return None
    if not joined.startswith("{") or not joined.count("\n{") == joined.count("\n") == len(texts) - 1:
        return None
    if element_type in _NUMBERS:
        return (
            _brackets(joined).replace("NULL", "null").split("\n") if _NUMBERS_ONLY.fullmatch(joined) else None
        )
    if element_to_json(element_type) is not _string:
        return None
    # A quoted element without escapes is a string of JSON as it stands; the others need quotes.
    parts = joined.split('"')
    if not len(parts) % 2 or "\n" in "".join(parts[1::2]):
        return None
    bare = '"'.join(_BARE.split("\0".join(parts[::2])))
    parts[::2] = _brackets(_BARE_NULL.sub("null", bare)).split("\0")
    return '"'.join(parts).split("\n")


def _brackets(text: str) -> str:
    return text.replace("{", "[").replace("}", "]")


def _number(text: str) -> str:
    if not _JSON_NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is no number in JSON")
    return text


def _boolean(text: str) -> str:
    return {"t": "true", "f": "false"}[text]


def _string(text: str) -> str:
    return msgspec.json.encode(text).decode()
