"""PostgreSQL's text to a transform's value and back, nothing lost or guessed on the way."""

import enum
import math
import struct
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pgevents.event import Value
from pgevents.values import decoder, to_text


def decoded(column_type: str, text: str) -> Value:
    decode = decoder(column_type)
    assert decode is not None
    return decode(text)


@pytest.mark.parametrize("column_type", ["smallint", "integer", "bigint", "oid"])
@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_go_there_and_back(column_type: str, number: int) -> None:
    assert decoded(column_type, str(number)) == number
    assert to_text(number) == str(number)


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,60})(\.[0-9]{1,40})?", fullmatch=True))
def test_numeric_keeps_every_digit_and_its_scale(text: str) -> None:
    assume(not text.startswith("-") or text.strip("-0."))  # PostgreSQL prints no negative zero
    assert to_text(decoded("numeric", text)) == text


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("column_type", ["numeric", "double precision", "real"])
def test_values_that_are_no_numbers_go_there_and_back(column_type: str, text: str) -> None:
    assert to_text(decoded(column_type, text)) == text


@given(st.floats(allow_nan=False))
def test_double_precision_goes_there_and_back_to_the_last_bit(number: float) -> None:
    text = to_text(number)
    assert text is not None
    back = decoded("double precision", text)
    assert isinstance(back, float)
    assert struct.pack("d", back) == struct.pack("d", number)


def test_booleans_go_there_and_back() -> None:
    assert [to_text(decoded("boolean", text)) for text in ("t", "f")] == ["t", "f"]
    assert decoded("boolean", "t") is True
    assert decoded("boolean", "f") is False


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_text_stays_as_it_is(text: str) -> None:
    assert to_text(text) == text


@pytest.mark.parametrize(
    "column_type", ["text", "jsonb", "date", "timestamp with time zone", "uuid", "bytea", "int4[]"]
)
def test_every_other_type_is_passed_as_its_text(column_type: str) -> None:
    assert decoder(column_type) is None


def test_null_is_none() -> None:
    assert to_text(None) is None


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("1E+2", "100"),
        ("0E-10", "0.0000000000"),
        ("-0.00", "0.00"),
        ("1.50", "1.50"),
        ("-NaN", "NaN"),
        ("sNaN", "NaN"),
    ],
)
def test_decimal_is_written_as_postgresql_prints_it(number: str, text: str) -> None:
    assert to_text(Decimal(number)) == text


@pytest.mark.parametrize("number", ["1E+131072", "1E-16384", "1E+999999999"])
def test_decimal_that_numeric_cannot_hold_is_refused_before_it_is_spelled_out(number: str) -> None:
    with pytest.raises(ValueError, match="has more digits than PostgreSQL's numeric can hold"):
        to_text(Decimal(number))


@pytest.mark.parametrize("number", ["1E+131071", "1E-16383"])
def test_decimal_at_the_limits_of_numeric_is_taken(number: str) -> None:
    text = to_text(Decimal(number))
    assert text is not None
    assert Decimal(text) == Decimal(number)


class Colour(enum.StrEnum):
    RED = "red"


class Old(str, enum.Enum):  # noqa: UP042 - its str() is not its value
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@pytest.mark.parametrize(("value", "text"), [(Colour.RED, "red"), (Old.RED, "red"), (Level.HIGH, "3")])
def test_enumerations_are_written_as_the_plain_values_that_they_are(value: Value, text: str) -> None:
    written = to_text(value)
    assert written == text
    assert type(written) is str


@pytest.mark.parametrize(
    "value",
    [b"x", [1], {"a": 1}, {1}, (1,), date(2026, 1, 2), datetime(2026, 1, 2), UUID(int=1), 1j, object()],
    ids=lambda value: type(value).__name__,
)
def test_type_whose_text_would_be_guessed_is_refused(value: object) -> None:
    with pytest.raises(TypeError) as caught:
        to_text(value)  # type: ignore[arg-type]
    assert str(caught.value) == (
        f"a {type(value).__name__} is no column value; expected None, bool, int, float, Decimal or str "
        "(PostgreSQL's own text of the value)"
    )


@pytest.mark.parametrize(
    ("text", "shown"), [("ab\x00", r"'\x00' at position 2"), ("\ud800", r"'\ud800' at position 0")]
)
def test_text_that_postgresql_cannot_store_is_refused(text: str, shown: str) -> None:
    with pytest.raises(ValueError) as caught:
        to_text(text)
    assert str(caught.value) == f"the text has {shown}, which PostgreSQL cannot store; take it out"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numeric_from_a_float_is_read_as_that_very_float(number: float) -> None:
    text = to_text(number)
    assert text is not None
    assert float(Decimal(text)) == number
    assert math.isfinite(float(text))
