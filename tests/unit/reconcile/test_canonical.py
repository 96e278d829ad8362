"""Equal values have one canonical form and one hash, whoever prints or computes them."""

import json
from decimal import Decimal, localcontext

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from local.postgres import PostgresServer
from ops.comparison.canonical import digest_sql, document, double, hashed, number, real, truth


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("1.50", "1.500000000000000000"),
        ("100", "1E+2"),
        ("0", "-0"),
        ("0.0", "0"),
        ("-0.10", "-.1"),
        ("12345678901234567890.10", "12345678901234567890.1"),
    ],
)
def test_a_number_has_one_form_however_it_is_printed(text: str, other: str) -> None:
    assert number(text) == number(other)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6), st.integers(0, 6))
def test_numbers_are_alike_exactly_when_they_are_equal(value: Decimal, zeros: int) -> None:
    printed = format(value, "f")
    assert number(printed + "0" * zeros) == number(printed)
    with localcontext(prec=400):
        greater = value + Decimal("0.000001")
    assert number(format(greater, "f")) != number(printed)


def test_what_is_no_number_stays_as_it_is() -> None:
    assert number("NaN") == "NaN"
    assert number("Infinity") == "Infinity"
    assert number("x") == "x"


def test_a_real_is_the_double_that_it_is_exactly() -> None:
    assert real("0.1") == real("0.10000000149011612") != double("0.1")
    assert real("1e300") == "1e+300"


def test_a_boolean_is_told_by_its_first_letter() -> None:
    assert truth("true") == truth("t") == "t" != truth("f")


def test_a_document_is_told_by_what_it_holds() -> None:
    assert document('{"a": 1.50, "b": [1, null]}') == document('{"b":[1.0,null],"a":1.5}')
    assert document('{"a": 1.5}') != document('{"a": "1.5"}')
    assert document("[1]") != document('["1"]')
    assert document("1.25") != document("1.250001")


@pytest.mark.parametrize(
    ("values", "others"),
    [(("a", "b"), ("ab", None)), ((None,), ("",)), ((None,), ("null",)), (("a,b",), ("a", "b")), (("a",), ("a", None))],
)  # fmt: skip
def test_rows_that_differ_have_other_hashes(
    values: tuple[str | None, ...], others: tuple[str | None, ...]
) -> None:
    assert hashed(values) != hashed(others)


def test_postgresql_hashes_a_row_as_python_does(postgres_server: PostgresServer) -> None:
    texts = [
        None, "", "plain", 'quote " and \\ back', "".join(map(chr, range(1, 128))), "żółć 🚀   \x7f",
        '{"a": 1}', "\ufeff\uffff", " lead and trail ", "a" * 100_000,
    ]  # fmt: skip
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        for row in ([text] for text in texts), [texts], [[]]:
            for values in row:
                query = sql.SQL("select {}").format(digest_sql([sql.Literal(text) for text in values]))
                found = connection.execute(query).fetchone()
                assert found is not None
                assert bytes(found[0]) == hashed(values), json.dumps(values)
