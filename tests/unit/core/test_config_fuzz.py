"""Whatever a file holds, it is a pipeline or it is refused in one line; nothing else ever leaves `load`."""

import copy
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgevents.config import Pipeline, load
from pgevents.config.shape import shape_mistakes
from pgevents.errors import InputError

VALID = """
[sources.accounts]
doorbell = "notify"
[[sources.accounts.tables]]
table = "public.account"
key = ["id"]
exclude = ["password"]
publish = true
[sinks.replica]
type = "postgres"
schema = "public"
[sinks.archive]
type = "s3"
prefix = "archive"
[sinks.warehouse]
type = "redshift"
[[routes]]
table = "accounts.public.account"
sinks = ["replica", "archive", "warehouse"]
target = "account"
mode = "both"
key = ["id"]
columns = { slug = "text" }
omit = ["note"]
[policies]
too_long = "null"
out_of_range = "null"
[drain]
batch_events = 10
in_flight = 1
"""

Place = tuple[str | int, ...]


def places(document: object, path: Place = ()) -> Iterator[Place]:
    """The path of every value below a document."""
    entries = list(document.items()) if isinstance(document, dict) else []
    entries = list(enumerate(document)) if isinstance(document, list) else entries
    for key, value in entries:
        yield (*path, key)
        yield from places(value, (*path, key))


PLACES = sorted(places(tomllib.loads(VALID)), key=str)
KEYS = sorted({str(part) for place in PLACES for part in place} | {"type", "", "a b", "ü", "a\nb", '"'})
NEARLY_RIGHT = ["postgres", "s3", "invoke", "mirror", "accounts.public.account", "public.x\n", "x\x00.y"]
TEXTS = st.sampled_from([*KEYS, *NEARLY_RIGHT]) | st.text(max_size=12)
TIMES = st.datetimes() | st.dates() | st.times()
SCALARS = TEXTS | st.booleans() | st.integers() | st.just(16**3_000) | st.floats() | TIMES
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
CHANGES = st.sampled_from(["replace", "remove", "rename", "add", "double"])


@st.composite
def mutated_documents(draw: st.DrawFn) -> dict[str, object]:
    """A valid document with one to three changes at random places."""
    document: dict[str, object] = tomllib.loads(VALID)
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from(PLACES))
        change(document, path, last, draw(CHANGES), draw)
    return document


def change(document: object, path: list[str | int], last: str | int, kind: str, draw: st.DrawFn) -> None:
    """Changes the container at a path, if an earlier change has left it there."""
    try:
        for part in path:
            document = document[part]  # type: ignore[index]
        value = document[last]  # type: ignore[index]
    except (KeyError, IndexError, TypeError):
        return
    if not isinstance(document, dict | list):  # a text that has come there has places too
        return
    if kind == "replace":
        document[last] = draw(VALUES)  # type: ignore[index]
    elif kind == "remove":
        del document[last]  # type: ignore[attr-defined]
    elif isinstance(document, list):
        document.append(draw(VALUES) if kind == "add" else copy.deepcopy(value))
    elif isinstance(document, dict):
        document[draw(TEXTS)] = document.pop(last) if kind == "rename" else copy.deepcopy(value)


def assert_pipeline_or_one_line(text: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.toml"
        path.write_bytes(text)
        try:
            assert isinstance(load(path), Pipeline)
        except InputError as error:
            message = str(error)
            assert message.startswith(f"{path}: ")
            assert len(message.splitlines()) == 1
            assert len(message) < 2_000 + len(str(path))


def is_accepted(document: dict[str, object]) -> bool:
    try:
        msgspec.convert(document, Pipeline)
    except msgspec.ValidationError:
        return False
    return True


@given(mutated_documents())
@settings(max_examples=200, deadline=None)
def test_wrong_shapes_are_found_exactly_when_the_types_refuse_a_document(document: dict[str, object]) -> None:
    mistakes = list(shape_mistakes(document, Pipeline))
    assert (mistakes == []) == is_accepted(document)
    assert all(mistake.path and "[...]" not in mistake.path for mistake in mistakes)


@given(mutated_documents())
@settings(max_examples=200, deadline=None)
def test_changed_file_is_a_pipeline_or_refused_in_one_line(document: dict[str, object]) -> None:
    assert_pipeline_or_one_line(as_toml(document).encode())


@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), VALUES, max_size=6))
@settings(max_examples=200, deadline=None)
def test_random_document_is_a_pipeline_or_refused_in_one_line(document: dict[str, object]) -> None:
    assert_pipeline_or_one_line(as_toml(document).encode())


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_file_with_changed_characters_is_a_pipeline_or_refused_in_one_line(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(VALID)))
    end = data.draw(st.integers(start, min(len(VALID), start + 20)))
    syntax = st.text(alphabet='[]{}".=\n\\ \x00\x85\u2028aZ09-', max_size=6)
    inserted = data.draw(syntax | st.text(max_size=6))
    assert_pipeline_or_one_line((VALID[:start] + inserted + VALID[end:]).encode())


def test_a_name_with_a_line_break_of_its_own_is_offered_on_one_line() -> None:
    assert_pipeline_or_one_line(VALID.replace('"public.account"', '"public.acc\x85ount"').encode())


@given(st.binary(max_size=60))
def test_random_bytes_are_a_pipeline_or_refused_in_one_line(content: bytes) -> None:
    assert_pipeline_or_one_line(content)


def test_valid_document_is_written_and_read_back_unchanged() -> None:
    document = tomllib.loads(VALID)
    assert tomllib.loads(as_toml(document)) == document


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_removing_any_one_value_never_ends_in_a_traceback(place: Place) -> None:
    document: dict[str, object] = tomllib.loads(VALID)
    *path, last = place
    container: object = document
    for part in path:
        container = container[part]  # type: ignore[index]
    del container[last]  # type: ignore[attr-defined]
    assert_pipeline_or_one_line(as_toml(document).encode())


def as_toml(document: dict[str, object]) -> str:
    """A document as TOML, every nested value inline."""
    return "".join(f"{quoted(key)} = {inline(value)}\n" for key, value in document.items())


def inline(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return hex(value) if value >= 0 else f"{value}"
        case float():
            return {"inf": "inf", "-inf": "-inf", "nan": "nan"}.get(repr(value), f"{value:.6f}")
        case str():
            return quoted(value)
        case list():
            return f"[{', '.join(inline(item) for item in value)}]"
        case dict():
            return f"{{{', '.join(f'{quoted(key)} = {inline(item)}' for key, item in value.items())}}}"
    return value.isoformat()  # type: ignore[attr-defined, no-any-return]


def quoted(text: str) -> str:
    """A basic string, every character of it escaped that TOML might not take as it is."""
    plain = "".join(c if c.isalnum() or c in "._- " else f"\\U{ord(c):08x}" for c in text)
    return f'"{plain}"'
