"""What goes by COPY is what a literal would say; everything that might be read otherwise is left to literals."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pgevents.config import Policies
from redshift_writer.arrays import array_to_json, arrays_to_json, element_to_json
from redshift_writer.literals import Quoting, Unfit, literalizer
from redshift_writer.plain import plain
from redshift_writer.types import for_postgres

QUOTING = Quoting(backslash_escapes=False)
TYPES = ["smallint", "integer", "bigint", "real", "boolean", "date", "text", "jsonb", "json", "bytea", "uuid", "text[]", "integer[]", "boolean[]", "jsonb[]"] + [
    "numeric", "numeric(5,2)", "numeric(3,3)", "numeric(4,0)", "double precision", "character varying(3)",
    "timestamp without time zone", "timestamp with time zone",
]  # fmt: skip


def looked_at(postgres_type: str, *values: str | None) -> tuple[list[str | None], list[int]]:
    look = plain(postgres_type, for_postgres(postgres_type), is_key=False)
    assert look is not None
    texts, unfit = look(list(values))
    return list(texts), unfit


def is_plain(postgres_type: str, value: str) -> bool:
    return not looked_at(postgres_type, value)[1]


@pytest.mark.parametrize(
    ("postgres_type", "value", "text"),
    [
        ("smallint", "-9999", "-9999"),
        ("integer", "0", "0"),
        ("bigint", "999999999999999999", "999999999999999999"),
        ("numeric(12,2)", "-0.50", "-0.50"),
        ("numeric(4,0)", "1234", "1234"),
        ("numeric(3,3)", "0.125", "0.125"),
        ("numeric", "12345678901234567890.5", "12345678901234567890.5"),
        ("double precision", "0.1", "0.1"),
        ("double precision", "-123.456", "-123.456"),
        ("boolean", "t", "t"),
        ("text", "", ""),
        ("text", 'a\r\n"b"\\', 'a\r\n"b"\\'),
        ("date", "2024-12-31", "2024-12-31"),
        ("timestamp without time zone", "2024-06-30 23:59:59.5", "2024-06-30 23:59:59.5"),
        ("timestamp with time zone", "2024-06-30 23:59:59+00", "2024-06-30 23:59:59+00"),
        ("bytea", "\\x00ff", "00ff"),
        ("jsonb", '{"a": [1, null]}', '{"a": [1, null]}'),
        ("text[]", '{a,"b c",NULL}', '["a","b c",null]'),
        ("integer[]", "{1,NULL,-3}", "[1,null,-3]"),
    ],
)
def test_plain_value_goes_as_it_is(postgres_type: str, value: str, text: str) -> None:
    assert looked_at(postgres_type, None, value) == ([None, text], [])


@pytest.mark.parametrize(
    ("postgres_type", "value"),
    [
        ("smallint", "32768"), ("integer", "01"), ("integer", "1\n2"), ("bigint", "9223372036854775807"),
        ("bigint", "١"), ("numeric", "NaN"), ("numeric(12,2)", "1.234"), ("numeric(5,2)", "1234"),
        ("double precision", "-0"), ("double precision", "1e+300"), ("double precision", "Infinity"),
        ("boolean", "true"), ("date", "infinity"), ("date", "2024-02-29"), ("date", "2023-02-30"),
        ("date", "0044-03-15 BC"), ("date", "0000-01-01"), ("date", "12024-01-01"),
        ("timestamp with time zone", "2024-01-01 00:00:00+05:30"), ("timestamp without time zone", "24:00:00"),
        ("text", "\\N"), ("text", "a\0b"), ("text", "é" * 32_768), ("character varying(3)", "x" * 13),
        ("bytea", "\\x0"), ("bytea", "\\xFF"), ("bytea", "\\x" + "00" * 32_768), ("jsonb", "{"), ("jsonb", ""),
        ("jsonb", "1\n2"), ("jsonb", '"\\u0000"'), ("jsonb", "1" * 39), ("json", '{"a":1,"a":2}'),
        ("text[]", "a"), ("text[]", "{a"), ("text[]", "{a}b"), ("integer[]", "{true}"), ("integer[]", "{NaN}"),
    ],
)  # fmt: skip
def test_odd_value_is_left_to_a_literal_and_only_it(postgres_type: str, value: str) -> None:
    good = {"text[]": "{a}", "integer[]": "{1}", "bytea": "\\x00"}.get(postgres_type)
    assert looked_at(postgres_type, good, value, None)[1] == [1]


def test_neighbours_do_not_make_up_for_each_other() -> None:
    assert looked_at("jsonb", "1\n2", "")[1] == [0, 1]
    assert looked_at("integer", "1\n2", "3")[1] == [0]
    assert looked_at("text[]", '{"a}', '{b"}')[1] == [0, 1]


@pytest.mark.parametrize("postgres_type", ["time without time zone", "time with time zone"])
def test_type_whose_form_copy_does_not_document_never_goes(postgres_type: str) -> None:
    assert plain(postgres_type, for_postgres(postgres_type), is_key=False) is None


@pytest.mark.parametrize("postgres_type", ["jsonb", "bytea", "text[]"])
def test_key_is_never_brought_as_text_of_another_type(postgres_type: str) -> None:
    assert plain(postgres_type, for_postgres(postgres_type), is_key=True) is None


ANYTHING = st.one_of(
    st.text(max_size=12),
    st.text('0123456789-+.eE{}[],"\\ \nNULtfax:', max_size=16),
    st.from_regex(r"\A-?\d{1,20}(\.\d{1,20})?\Z"),
    st.dates().map(str),
    st.datetimes().map(str),
    st.lists(st.sampled_from(["a", "NULL", "null", '"b,c"', '"{"', "1", "-2.5", '"\\""']), max_size=4).map(
        lambda items: "{" + ",".join(items) + "}"
    ),
)


@given(st.sampled_from(TYPES), st.lists(ANYTHING, min_size=1, max_size=4))
@example("text[]", ['{NULL,null,"NULL"}'])
def test_what_is_plain_is_a_literal_that_says_the_same(postgres_type: str, values: list[str]) -> None:
    texts, unfit = looked_at(postgres_type, *values)
    literal = literalizer(postgres_type, for_postgres(postgres_type), Policies(), QUOTING)
    for at, value in enumerate(values):
        if at in unfit:
            continue
        try:
            found = literal(value)
        except Unfit as refused:
            pytest.fail(f"{value!r} is plain and {refused}")
        if for_postgres(postgres_type).family == "document":
            assert found == f"json_parse({QUOTING.string(str(texts[at]))})"


@given(
    st.sampled_from(["text", "integer", "numeric", "date", "boolean", "jsonb"]),
    st.lists(ANYTHING, min_size=1, max_size=4),
)
def test_arrays_in_bulk_are_what_each_is_alone(element_type: str, texts: list[str]) -> None:
    found = arrays_to_json(texts, element_type)
    for text, document in zip(texts, found or [], strict=found is not None):
        try:
            expected = array_to_json(text, element_to_json(element_type))
        except ValueError:
            assert not is_plain(f"{element_type}[]", text)
        else:
            assert document == expected
