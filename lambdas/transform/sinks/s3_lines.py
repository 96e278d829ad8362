"""A change as a line of JSON that loses nothing, and that COPY (Redshift) and Athena's OpenX SerDe read.

Booleans and whole numbers are JSON's own. Every other value is a string with PostgreSQL's text, because each
reader rounds something otherwise: COPY numbers with a fraction, Athena the numbers within JSON. The one text
that Athena could not read is that of a timestamp with time zone: it is written 2026-11-22T15:04:05.123456Z.
"""

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from pgevents.batch import Change, Clause, Column

Scalar = str | int | bool | None
Convert = Callable[[str], Scalar]

OWN_COLUMNS = ("_clause", "_version", "_source")

_WHOLE = re.compile(r"-?[0-9]{1,19}")
_BOOLEANS = dict.fromkeys(("t", "true", "y", "yes", "on", "1"), True) | dict.fromkeys(
    ("f", "false", "n", "no", "off", "0"), False
)


class UnreadableLine(ValueError):
    """A line is not what `Lines.encode` writes."""


class Lines:
    """Writes the changes of one target of one source."""

    def __init__(self, source: str, columns: Sequence[Column], key: Sequence[str]) -> None:
        self._source = source
        self._columns = [(column.name, _CONVERT.get(column.type), column.name in key) for column in columns]
        self._encoder = msgspec.json.Encoder()

    def encode(self, change: Change) -> bytearray:
        """The line, with its end.

        A DELETE has its key only, since nothing is known of the rest; one of every row has no columns at all.
        Raises UnicodeEncodeError for text that UTF-8 cannot express.
        """
        whole = change.clause == "INSERT"
        line: dict[str, Scalar] = {
            name: convert(value) if convert is not None and value is not None else value
            for (name, convert, is_key), value in zip(self._columns, change.values or (), strict=False)
            if whole or is_key
        }
        line["_clause"] = change.clause
        line["_version"] = change.version
        line["_source"] = self._source
        # In place: a line may be as long as the longest value, twice that would not fit everywhere.
        encoded = bytearray()
        self._encoder.encode_into(line, encoded)
        encoded += b"\n"
        return encoded


def parse_line(line: bytes, columns: Sequence[Column]) -> Change:
    """The change that a line was made of, as far as these columns go.

    A column that the line does not have is None; what the line has besides is left out. Raises
    UnreadableLine.
    """
    try:
        found = msgspec.json.decode(line, type=dict[str, str | int | bool | None])
        clause, version = msgspec.convert((found["_clause"], found["_version"]), tuple[Clause, int])
    except (msgspec.MsgspecError, KeyError) as error:
        raise UnreadableLine(f"not a line of the archive ({error!r}): {line[:200]!r}") from error
    if found.keys() == set(OWN_COLUMNS):
        return Change(clause, version, None)
    return Change(clause, version, tuple(_text(column.type, found.get(column.name)) for column in columns))


def _text(type_: str, value: Scalar) -> str | None:
    """PostgreSQL's text of a value in a line."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, int):
        return str(value)
    if type_ == "timestamp with time zone" and value[10:11] == "T" and value.endswith("Z"):
        return f"{value[:10]} {value[11:-1]}+00"
    return value


def _whole(text: str) -> Scalar:
    # A transform may write a number in other ways that PostgreSQL understands: those stay text.
    return int(text) if _WHOLE.fullmatch(text) else text


def _boolean(text: str) -> Scalar:
    return _BOOLEANS.get(text, text)


def _instant(text: str) -> Scalar:
    # Years of five digits, BC and infinity have no such form; both readers take them as text only.
    return f"{text[:10]}T{text[11:-3]}Z" if text[10:11] == " " and text.endswith("+00") else text


_CONVERT: Mapping[str, Convert] = {
    "boolean": _boolean,
    "smallint": _whole,
    "integer": _whole,
    "bigint": _whole,
    "timestamp with time zone": _instant,
}
