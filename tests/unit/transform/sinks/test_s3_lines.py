"""What a line of the archive looks like, and that it can be read back."""

import json
import re
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgevents.batch import Change, Column
from transform.sinks.s3_lines import Lines, UnreadableLine, parse_line

COLUMNS = (
    Column("id", "bigint"),
    Column("active", "boolean"),
    Column("balance", "numeric"),
    Column("rate", "double precision"),
    Column("opened", "timestamp with time zone"),
    Column("born", "date"),
    Column("seen", "timestamp without time zone"),
    Column("document", "jsonb"),
    Column("tags", "text[]"),
    Column("photo", "bytea"),
    Column("note", "text"),
)
ROW = (
    "9223372036854775807",
    "t",
    "0.10",
    "1e-05",
    "2026-11-22 15:04:05.123456+00",
    "2026-11-22",
    "2026-11-22 15:04:05.1",
    '{"a": 1.00, "b": null}',
    '{"a b",NULL}',
    "\\xdeadbeef",
    'line\nbreak "é😀"\u2028',
)
LINES = Lines("accounts", COLUMNS, ("id",))


def as_json(change: Change, columns: tuple[Column, ...] = COLUMNS) -> dict[str, object]:
    line = Lines("accounts", columns, (columns[0].name,)).encode(change)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def test_insert_has_every_column_in_the_form_that_both_readers_take() -> None:
    assert as_json(Change("INSERT", 2**48 + 7, ROW)) == {
        "id": 9223372036854775807,
        "active": True,
        "balance": "0.10",
        "rate": "1e-05",
        "opened": "2026-11-22T15:04:05.123456Z",
        "born": "2026-11-22",
        "seen": "2026-11-22 15:04:05.1",
        "document": '{"a": 1.00, "b": null}',
        "tags": '{"a b",NULL}',
        "photo": "\\xdeadbeef",
        "note": 'line\nbreak "é😀"\u2028',
        "_clause": "INSERT",
        "_version": 2**48 + 7,
        "_source": "accounts",
    }


def test_delete_has_its_key_alone_since_the_rest_is_not_known() -> None:
    change = Change("DELETE", 8, ("1", *[None] * 10))
    assert as_json(change) == {"id": 1, "_clause": "DELETE", "_version": 8, "_source": "accounts"}


def test_truncation_has_no_columns() -> None:
    assert as_json(Change("DELETE", 9, None)) == {"_clause": "DELETE", "_version": 9, "_source": "accounts"}


def test_null_is_told_from_the_json_value_null() -> None:
    columns = (Column("id", "bigint"), Column("document", "jsonb"))
    assert as_json(Change("INSERT", 1, ("1", None)), columns)["document"] is None
    assert as_json(Change("INSERT", 1, ("1", "null")), columns)["document"] == "null"


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("timestamp with time zone", "infinity"),
        ("timestamp with time zone", "0044-03-15 12:00:00+00 BC"),
        ("timestamp with time zone", "10000-01-01 00:00:00+00"),
        ("boolean", "maybe"),
        ("bigint", " 7 "),
        ("bigint", "1_000"),
        ("bigint", "٣"),
        ("numeric", "NaN"),
        ("real", "-Infinity"),
    ],
)
def test_value_without_such_a_form_stays_the_text_it_is(type_: str, text: str) -> None:
    columns = (Column("id", "text"), Column("value", type_))
    change = Change("INSERT", 1, ("a", text))
    assert as_json(change, columns)["value"] == text
    assert parse_line(Lines("s", columns, ("id",)).encode(change), columns) == change


@pytest.mark.parametrize("change", [Change("INSERT", 1, ROW), Change("INSERT", 2, ("1", *[None] * 10))])
def test_line_reads_back_as_the_change(change: Change) -> None:
    assert parse_line(LINES.encode(change), COLUMNS) == change


@pytest.mark.parametrize("change", [Change("DELETE", 3, ("1", *[None] * 10)), Change("DELETE", 4, None)])
def test_deletion_reads_back_as_the_change(change: Change) -> None:
    assert parse_line(LINES.encode(change), COLUMNS) == change


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
INSTANTS = st.datetimes(min_value=datetime(1, 1, 1)).map(lambda at: f"{at}+00")


@given(
    number=st.integers(-(2**63), 2**63 - 1),
    flag=st.booleans(),
    decimal=st.decimals(allow_nan=True, allow_infinity=False),
    instant=INSTANTS,
    text=TEXTS,
    version=st.integers(1, 2**63 - 1),
)
def test_any_value_reads_back_exactly(
    number: int, flag: bool, decimal: object, instant: str, text: str, version: int
) -> None:
    columns = tuple(
        column for column in COLUMNS if column.name in ("id", "active", "balance", "opened", "note")
    )
    change = Change("INSERT", version, (str(number), "t" if flag else "f", str(decimal), instant, text))
    assert parse_line(Lines("s", columns, ("id",)).encode(change), columns) == change


@given(INSTANTS)
def test_every_instant_is_in_the_form_that_athena_and_redshift_document(instant: str) -> None:
    columns = (Column("opened", "timestamp with time zone"),)
    written = str(as_json(Change("INSERT", 1, (instant,)), columns)["opened"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", written)
    assert datetime.fromisoformat(written) == datetime.fromisoformat(instant)


@given(TEXTS)
def test_text_that_looks_like_an_instant_is_left_alone(text: str) -> None:
    columns = (Column("note", "text"),)
    for note in (text, "2026-11-22T15:04:05Z", "2026-11-22 15:04:05+00", "t", "12"):
        line = Lines("s", columns, ()).encode(Change("INSERT", 1, (note,)))
        assert parse_line(line, columns).values == (note,)


def test_column_added_later_is_none_and_one_taken_away_is_left_out() -> None:
    line = LINES.encode(Change("INSERT", 1, ROW))
    columns = (Column("added", "text"), Column("note", "text"), Column("id", "bigint"))
    assert parse_line(line, columns).values == (None, ROW[-1], ROW[0])


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"{}", b'{"_clause": "UPDATE", "_version": 1}', b'{"_clause": "INSERT"}', b"\xff"],
)
def test_anything_else_is_no_line_of_the_archive(line: bytes) -> None:
    with pytest.raises(UnreadableLine):
        parse_line(line, COLUMNS)
