"""Which value of a TOML document does not have the type that it must have.

msgspec finds that there is one, but names neither its key in a table of many nor what could stand there.
"""

import datetime
import re
from collections.abc import Iterator

from msgspec import inspect

from pgevents.config.mistakes import Mistake, child, closest, meant, one_of, shown, unknown

_KINDS = (
    (bool, "a boolean"),
    (str, "a string"),
    (int, "an integer"),
    (float, "a float"),
    (list, "an array"),
    (dict, "a table"),
    (datetime.datetime, "a date and time"),
    (datetime.date, "a date"),
    (datetime.time, "a time"),
)
_TYPES: dict[type[inspect.Type], type] = {
    inspect.BoolType: bool,
    inspect.StrType: str,
    inspect.LiteralType: str,
    inspect.IntType: int,
    inspect.VarTupleType: list,
    inspect.DictType: dict,
    inspect.StructType: dict,
    inspect.UnionType: dict,
}


def shape_mistakes(document: object, expected: type) -> Iterator[Mistake]:
    """Every value whose type is not the expected one, in the order of the types' settings."""
    return _mistakes("", document, inspect.type_info(expected))


def _mistakes(path: str, value: object, expected: inspect.Type) -> Iterator[Mistake]:
    bare = _bare(expected)
    if type(value) is not _TYPES[type(bare)]:
        yield Mistake(path, _wrong_kind(path, value, expected))
        return
    match bare, value:
        case inspect.StructType(), dict():
            yield from _in_section(path, value, bare)
        case inspect.UnionType(), dict():
            yield from _in_tagged_section(path, value, bare)
        case inspect.DictType(), dict():
            for key, entry in value.items():
                yield from _in_name(child(path, key), key, bare.key_type)
                yield from _mistakes(child(path, key), entry, bare.value_type)
        case inspect.VarTupleType(), list():
            for position, item in enumerate(value):
                yield from _mistakes(f"{path}[{position}]", item, bare.item_type)
        case inspect.LiteralType(), str() if value not in bare.values:
            yield Mistake(path, unknown(value, [str(choice) for choice in bare.values], "known"))
        case ((inspect.StrType() | inspect.IntType()), _) if not _fits(value, bare):
            yield Mistake(path, _misfit(value, "is not possible", expected))


def _in_section(path: str, section: dict[str, object], expected: inspect.StructType) -> Iterator[Mistake]:
    known = {field.name: field for field in expected.fields}
    settings = [*known, expected.tag_field] if expected.tag_field else list(known)
    for name in section:
        if name not in settings:
            problem = f"unknown setting; expected {one_of(settings)}{meant(closest(name, settings))}"
            yield Mistake(child(path, name), problem)
    for name, field in known.items():
        if name in section:
            yield from _mistakes(child(path, name), section[name], field.type)
        elif field.required:
            yield Mistake(child(path, name), f"missing; expected {_phrase(field.type)}")


def _in_tagged_section(
    path: str, section: dict[str, object], expected: inspect.UnionType
) -> Iterator[Mistake]:
    variants = {str(kind.tag): kind for kind in expected.types if isinstance(kind, inspect.StructType)}
    tag_field = str(next(iter(variants.values())).tag_field)
    where = child(path, tag_field)
    match section.get(tag_field):
        case None:
            yield Mistake(where, f"missing; expected {one_of(variants)}")
        case str(tag) if tag in variants:
            yield from _in_section(path, section, variants[tag])
        case str(tag):
            yield Mistake(where, unknown(tag, variants, "known"))
        case other:
            yield Mistake(where, f"{_kind(other)}; expected {one_of(variants)}")


def _in_name(path: str, name: str, expected: inspect.Type) -> Iterator[Mistake]:
    if not _fits(name, _bare(expected)):
        yield Mistake(path, _misfit(name, "cannot be a name", expected))


def _fits(value: object, expected: inspect.Type) -> bool:
    match expected, value:
        case inspect.StrType(), str():
            is_short = expected.max_length is None or len(value) <= expected.max_length
            return is_short and (expected.pattern is None or re.search(expected.pattern, value) is not None)
        case inspect.IntType(), int():
            is_large = expected.ge is None or value >= expected.ge
            return is_large and (expected.le is None or value <= expected.le)
    return True


def _misfit(value: object, problem: str, expected: inspect.Type) -> str:
    return f"{shown(value)} {problem}; expected {_phrase(expected)}{_hint(value, _bare(expected))}"


def _hint(value: object, expected: inspect.Type) -> str:
    """A spelling of the value that would be taken, if one is close."""
    if not isinstance(value, str) or len(value) > 100:
        return ""
    without_quotes = value.replace('"', "")
    as_name = re.sub(r"[^a-z0-9_]+", "_", value.lower()).strip("_")
    for spelling in (without_quotes, f"public.{without_quotes}", value.strip("/"), as_name):
        if spelling and _fits(spelling, expected):
            return meant(spelling)
    return ""


def _wrong_kind(path: str, value: object, expected: inspect.Type) -> str:
    problem = f"{_kind(value)}; expected {_phrase(expected)}"
    has_header = "[" not in path  # an entry of an array of tables has no header of its own
    if has_header and isinstance(value, list) and _TYPES[type(_bare(expected))] is dict:
        return f"{problem}: [{path}], not [[{path}]]"
    if has_header and isinstance(value, dict) and _phrase(expected) == "an array of tables":
        return f"{problem}: [[{path}]], not [{path}]"
    return problem


def _kind(value: object) -> str:
    kind = next(name for python_type, name in _KINDS if isinstance(value, python_type))
    return kind if isinstance(value, (list, dict)) else f"{shown(value)} is {kind}"


def _bare(expected: inspect.Type) -> inspect.Type:
    return expected.type if isinstance(expected, inspect.Metadata) else expected


def _phrase(expected: inspect.Type) -> str:
    """What is expected, as it stands behind that word."""
    match expected:
        case inspect.Metadata():
            return str((expected.extra_json_schema or {}).get("description", "")) or _phrase(expected.type)
        case inspect.LiteralType():
            return one_of([str(choice) for choice in expected.values])
        case inspect.IntType():
            return f"an integer from {expected.ge} to {expected.le}"
        case inspect.BoolType():
            return "true or false"
        case inspect.VarTupleType():
            items = _TYPES[type(_bare(expected.item_type))]
            return "an array of tables" if items is dict else "an array of strings"
        case inspect.StrType():
            return "a string"
    return "a table"
