"""Which values COPY reads exactly as a literal would be read, found out a column at a time.

One regular expression over a whole column costs a tenth of a function call a value. What does not pass is not
wrong: it goes as a literal, which says what is wrong with it if anything is.
"""

import re
from collections.abc import Callable, Sequence

import msgspec

from redshift_writer.arrays import array_to_json, arrays_to_json, element_to_json
from redshift_writer.literals import Unfit, require_json
from redshift_writer.types import RedshiftType, base_name, element_of

NULL_MARK = "\\N"
"""What stands for NULL. No value may look like it: COPY does not tell whether it was quoted."""

Texts = Sequence[str | None]
Plain = Callable[[Texts], tuple[Texts, list[int]]]
"""From a column's values to their texts in the file, and where those are that must go as literals."""

_DAY = (
    r"(?!0000)\d{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)"
    r"|(?:0[13578]|1[02])-31)"
)
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?"
_FORMS = {
    "boolean": "[tf]",
    "date": _DAY,
    "timestamp": f"{_DAY} {_CLOCK}",
    "timestamptz": rf"{_DAY} {_CLOCK}\+00",
    "binary": r"\\x(?:[0-9a-f]{2})*+",
}
_WHOLE_DIGITS = {16: 4, 32: 9, 64: 18}


def plain(postgres_type: str, column: RedshiftType, *, is_key: bool) -> Plain | None:
    """How a column's values are looked at, None when none of them can go by COPY."""
    match column.family:
        case "string":
            return _string(column.limit)
        case "integer":
            return _matching(rf"-?[1-9]\d{{0,{_WHOLE_DIGITS[column.limit] - 1}}}|0")
        case "numeric":
            return _matching(_numeric(column.limit, column.scale))
        case "float":
            return _matching(r"-?[1-9]\d{0,14}(?:\.\d{1,16})?|-?0\.\d{0,15}[1-9]|0")
        case "boolean" | "date" | "timestamp" | "timestamptz":
            return _matching(_FORMS[column.family])
        case "document" if not is_key:
            return _document(postgres_type, column.limit)
        case "binary" if not is_key:
            return _binary(column.limit)
    return None


def _numeric(precision: int, scale: int) -> str:
    whole = rf"-?[1-9]\d{{0,{precision - scale - 1}}}" if precision > scale else "0"
    return rf"(?:{whole}|-?0)(?:\.\d{{1,{scale}}})?" if scale else rf"{whole}|0"


def _matching(form: str) -> Plain:
    one = re.compile(form, re.A)
    column = re.compile(rf"(?:(?:{form})\n)*+", re.A)

    def look(values: Texts) -> tuple[Texts, list[int]]:
        present = _present(values)
        joined = "\n".join(present) + "\n" if present else ""
        # A value with a line break in it would pass for two.
        if column.fullmatch(joined) and joined.count("\n") == len(present):
            return values, []
        return values, [at for at, text in enumerate(values) if text is not None and not one.fullmatch(text)]

    return look


def _string(limit: int) -> Plain:
    def look(values: Texts) -> tuple[Texts, list[int]]:
        return values, _unfit_strings(values, limit)

    return look


def _unfit_strings(values: Texts, limit: int) -> list[int]:
    present = _present(values)
    joined = "".join(present)
    characters = limit if joined.isascii() else limit // 4
    is_short = max(map(len, present), default=0) <= characters
    if is_short and NULL_MARK not in present and "\0" not in joined:
        return []
    return [
        at
        for at, text in enumerate(values)
        if text is not None
        and (text == NULL_MARK or "\0" in text or len(text.encode(errors="surrogatepass")) > limit)
    ]


def _binary(limit: int) -> Plain:
    look_at_form = _matching(_FORMS["binary"])

    def look(values: Texts) -> tuple[Texts, list[int]]:
        _, unfit = look_at_form(values)
        digits = [text if text is None else text[2:] for text in values]
        too_long = (at for at, text in enumerate(digits) if text is not None and len(text) > 2 * limit)
        return digits, sorted({*unfit, *too_long})

    return look


def _document(postgres_type: str, limit: int) -> Plain:
    element_type = element_of(postgres_type)
    element = base_name(element_type)[0] if element_type else None
    may_repeat = "json" in (postgres_type, element_type)

    def look(values: Texts) -> tuple[Texts, list[int]]:
        unfit: set[int] = set()
        if element is not None:
            values = _as_json(values, element, unfit)
        if may_repeat or not _are_documents(_present(values)):
            unfit.update(_unfit_documents(values, may_repeat))
        return values, sorted({*unfit, *_unfit_strings(values, limit)})

    return look


def _as_json(values: Texts, element_type: str, unfit: set[int]) -> Texts:
    """Arrays as JSON; None in the place of what is no array, which is unfit."""
    present = _present(values)
    if present and (documents := arrays_to_json(present, element_type)) is not None:
        remaining = iter(documents)
        return [text if text is None else next(remaining) for text in values]
    element = element_to_json(element_type)
    texts: list[str | None] = []
    for at, text in enumerate(values):
        try:
            texts.append(text if text is None else array_to_json(text, element))
        except (ValueError, KeyError):
            unfit.add(at)
            texts.append(None)
    return texts


_lines = msgspec.json.Decoder(msgspec.Raw)
_MANY_DIGITS = b"0" * 39
_DIGITS_ALIKE = bytes.maketrans(b"123456789.", b"0000000000")


def _are_documents(present: list[str]) -> bool:
    """Whether all of these are JSON that SUPER holds; False when `require_json` has to look closer."""
    try:
        joined = "\n".join(present).encode()
    except UnicodeEncodeError:
        return False
    if joined.count(b"\n") != len(present) - 1 or b"\\u0000" in joined:
        return not present
    if _MANY_DIGITS in joined.translate(_DIGITS_ALIKE):
        return False
    try:
        return len(_lines.decode_lines(joined)) == len(present)
    except msgspec.MsgspecError:
        return False


def _unfit_documents(values: Texts, may_repeat: bool) -> list[int]:
    unfit = []
    for at, text in enumerate(values):
        try:
            if text is not None:
                require_json(text, may_repeat)
        except (Unfit, UnicodeEncodeError):
            unfit.append(at)
    return unfit


def _present(values: Texts) -> list[str]:
    return [text for text in values if text is not None]
