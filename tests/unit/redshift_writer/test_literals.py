"""Values become literals that say the same, or are refused with a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.redshift.tokens import statements
from pgevents.config import Policies
from redshift_writer.literals import Quoting, Unfit, literalizer
from redshift_writer.types import RedshiftType, for_postgres

ESCAPES = Quoting(backslash_escapes=True)
STANDARD = Quoting(backslash_escapes=False)
DEFAULT = Policies()


def literal(postgres_type: str, text: str, policies: Policies = DEFAULT, *, is_key: bool = False) -> str:
    return literalizer(postgres_type, for_postgres(postgres_type), policies, ESCAPES, is_key=is_key)(text)


@pytest.mark.parametrize(
    ("postgres_type", "text", "expected"),
    [
        ("integer", "-42", "-42"),
        ("bigint", "-9223372036854775808", "-9223372036854775808"),
        ("numeric", "0.50", "0.5"),
        ("numeric", "-0.000000000000000001", "-0.000000000000000001"),
        ("numeric", "12345678901234567890.000000000000000000000", "12345678901234567890"),
        ("numeric(5,2)", "123.45", "123.45"),
        ("real", "0.1", "0.1"),
        ("double precision", "1e+300", "'1e+300'::float8"),
        ("double precision", "-0", "'-0'::float8"),
        ("double precision", "123456789012345.5", "123456789012345.5"),
        ("boolean", "t", "true"),
        ("boolean", "f", "false"),
        ("text", "", "''"),
        ("text", "it's", "'it''s'"),
        ("text", "a\\", "'a\\\\'"),
        ("uuid", "7d444840-9dc0-11d1-b245-5ffdce74fad2", "'7d444840-9dc0-11d1-b245-5ffdce74fad2'"),
        ("date", "2024-02-29", "'2024-02-29'"),
        ("date", "0001-02-29 BC", "'0001-02-29 BC'"),
        ("date", "294276-12-31", "'294276-12-31'"),
        ("timestamp without time zone", "2024-02-29 23:59:59.999999", "'2024-02-29 23:59:59.999999'"),
        ("timestamp with time zone", "2024-02-29 23:59:59+00", "'2024-02-29 23:59:59+00'"),
        ("timestamp with time zone", "0044-03-15 10:00:00+00 BC", "'0044-03-15 10:00:00+00 BC'"),
        ("time without time zone", "24:00:00", "'24:00:00'"),
        ("time with time zone", "10:00:00.5-03:30", "'10:00:00.5-03:30'"),
        ("interval", "P1Y2M3DT4H5M6.7S", "'P1Y2M3DT4H5M6.7S'"),
        ("bytea", "\\x00ff", "from_hex('00ff')"),
        ("bytea", "\\x", "from_hex('')"),
        ("jsonb", '{"a": "b\\"c"}', 'json_parse(\'{"a": "b\\\\"c"}\')'),
        ("json", "null", "json_parse('null')"),
        ("integer[]", "{1,NULL,3}", "json_parse('[1,null,3]')"),
        ("text[]", '{"it\'s",NULL,"NULL"}', "json_parse('[\"it''s\",null,\"NULL\"]')"),
        ("public.mood", "happy", "'happy'"),
    ],
)
def test_value_becomes_a_literal(postgres_type: str, text: str, expected: str) -> None:
    assert literal(postgres_type, text) == expected


@pytest.mark.parametrize(
    ("postgres_type", "text", "problem"),
    [
        ("smallint", "32768", "out_of_range"),
        ("integer", "-2147483649", "out_of_range"),
        ("bigint", "9223372036854775808", "out_of_range"),
        ("integer", "1; drop table t", "malformed"),
        ("integer", "1.0", "malformed"),
        ("integer", "", "malformed"),
        ("integer", "١", "malformed"),
        ("numeric", "1.١", "malformed"),
        ("double precision", "١.5", "malformed"),
        ("date", "٢024-01-01", "malformed"),
        ("integer[]", "{١}", "malformed"),
        ("numeric", "1234567890123456789012", "out_of_range"),
        ("numeric", "0.1234567890123456789", "out_of_range"),
        ("numeric(5,2)", "1234", "out_of_range"),
        ("numeric", "NaN", "out_of_range"),
        ("numeric", "-Infinity", "out_of_range"),
        ("numeric", "1e5", "malformed"),
        ("numeric", ".", "malformed"),
        ("double precision", "NaN", "out_of_range"),
        ("double precision", "Infinity", "out_of_range"),
        ("real", "1e39", "out_of_range"),
        ("double precision", "1e400", "out_of_range"),
        ("double precision", "1 or 1=1", "malformed"),
        ("boolean", "true", "malformed"),
        ("text", "é" * 32_768, "too_long"),
        ("text", "a\0b", "malformed"),
        ("uuid", "x" * 37, "too_long"),
        ("date", "infinity", "out_of_range"),
        ("date", "5874897-12-31", "out_of_range"),
        ("date", "4714-01-01 BC", "out_of_range"),
        ("date", "2023-02-29", "malformed"),
        ("date", "2023-13-01", "malformed"),
        ("date", "0002-02-29 BC", "malformed"),
        ("timestamp without time zone", "-infinity", "out_of_range"),
        ("timestamp without time zone", "2024-01-01 00:00:00+00", "malformed"),
        ("timestamp with time zone", "2024-01-01 00:00:00", "malformed"),
        ("timestamp with time zone", "2024-01-01 25:00:00+00", "malformed"),
        ("time without time zone", "24:00:01", "malformed"),
        ("bytea", "\\x0", "malformed"),
        ("bytea", "abc", "malformed"),
        ("bytea", "\\x" + "00" * 32_768, "too_long"),
        ("jsonb", '{"a"', "malformed"),
        ("jsonb", "", "malformed"),
        ("jsonb", '"' + "é" * 32_767 + '"', "too_long"),
        ("jsonb", "[" + "1" * 39 + "]", "out_of_range"),
        ("jsonb", "0." + "0" * 20 + "1" * 20, "out_of_range"),
        ("json", '{"a": 1, "a": 2}', "malformed"),
        ("json", '"\\u0000"', "out_of_range"),
        ("integer[]", "{1,2", "malformed"),
        ("integer[]", "1,2", "malformed"),
        ("double precision[]", "{1,NaN}", "out_of_range"),
        ("boolean[]", "{t,x}", "malformed"),
    ],
)
def test_value_that_cannot_go_is_refused(postgres_type: str, text: str, problem: str) -> None:
    with pytest.raises(Unfit) as unfit:
        literal(postgres_type, text)
    assert unfit.value.problem == problem


def test_digits_in_strings_of_a_document_are_no_numbers() -> None:
    document = '{"a": "' + "1" * 60 + '", "b": 12345678901234567890123456789012345678}'
    assert literal("jsonb", document) == f"json_parse('{document}')"
    assert literal("json", '"\\\\u0000"').startswith("json_parse")


@pytest.mark.parametrize(
    ("postgres_type", "text", "policies", "expected"),
    [
        ("text", "é" * 40_000, Policies(too_long="null"), "null"),
        ("text", "é" * 40_000, Policies(too_long="truncate"), "'" + "é" * 32_767 + "'"),
        ("uuid", "x" * 35 + "é", Policies(too_long="truncate"), "'" + "x" * 35 + "'"),
        ("bytea", "\\x" + "00" * 40_000, Policies(too_long="null"), "null"),
        ("numeric", "NaN", Policies(out_of_range="null"), "null"),
        ("date", "infinity", Policies(out_of_range="null"), "null"),
        ("integer", "99999999999", Policies(out_of_range="null"), "null"),
    ],
)
def test_policy_says_what_becomes_of_a_value(
    postgres_type: str, text: str, policies: Policies, expected: str
) -> None:
    assert literal(postgres_type, text, policies) == expected


@pytest.mark.parametrize(
    ("postgres_type", "text"),
    [
        ("jsonb", '"' + "x" * 70_000 + '"'),
        ("bytea", "\\x" + "00" * 40_000),
        ("date", "infinity"),
        ("integer", "x"),
    ],
)
def test_truncation_is_for_strings_only(postgres_type: str, text: str) -> None:
    with pytest.raises(Unfit):
        literal(postgres_type, text, Policies(too_long="truncate"))


def test_malformed_value_has_no_policy() -> None:
    with pytest.raises(Unfit):
        literal("integer", "x", Policies(too_long="null", out_of_range="null"))


def test_key_is_never_cut_or_nulled() -> None:
    for policies in (Policies(too_long="truncate", out_of_range="null"), Policies(too_long="null")):
        with pytest.raises(Unfit):
            literal("text", "x" * 70_000, policies, is_key=True)


def test_column_of_another_length_sets_the_limit() -> None:
    shorter = literalizer("text", RedshiftType("string", 5), Policies(), ESCAPES)
    assert shorter("éé1") == "'éé1'"
    with pytest.raises(Unfit):
        shorter("ééé")


def test_integer_fits_a_numeric_column_and_any_value_a_string_column() -> None:
    assert literalizer("bigint", RedshiftType("numeric", 20, 2), Policies(), ESCAPES)("12") == "12"
    assert literalizer("date", RedshiftType("string", 20), Policies(), ESCAPES)("infinity") == "'infinity'"


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0")))
def test_nothing_in_a_string_ends_its_literal(text: str) -> None:
    (statement,) = statements(f"select {ESCAPES.string(text)}")
    assert statement.keys == ["select", "'"]
    inside = ESCAPES.string(text)[1:-1]
    assert inside.replace("''", "'").replace("\\\\", "\\") == text
    assert STANDARD.string(text)[1:-1].replace("''", "'") == text


TYPES = [
    "integer",
    "numeric",
    "double precision",
    "boolean",
    "date",
    "timestamp with time zone",
    "time with time zone",
]
TYPES += ["bytea", "jsonb", "integer[]", "text[]", "uuid"]


@given(st.sampled_from(TYPES), st.text(alphabet="0123456789١²-+.:eETZnaNIfity {},\"'\\;)(xtf", max_size=30))
def test_whatever_is_let_through_is_one_literal(postgres_type: str, text: str) -> None:
    try:
        found = literal(postgres_type, text)
    except Unfit:
        return
    (statement,) = statements(f"select {found}")
    keys = [
        key for key in statement.keys if key not in ("-", "json_parse", "from_hex", "(", ")", "::", "float8")
    ]
    assert keys in (["select", "'"], ["select", "number"], ["select", "true"], ["select", "false"])
