"""Literals of a whole column are those of its values, one by one."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgevents.batch import Change, Column, TableChanges
from pgevents.config import Policies
from pgevents.refusals import RefusedChanges
from redshift_writer.literals import Quoting, literalizer
from redshift_writer.plain_literals import plain_literals
from redshift_writer.shapes import Shape
from redshift_writer.staging import stage
from redshift_writer.types import for_postgres
from tests.unit.redshift_writer.test_plain import ANYTHING, TYPES

ESCAPING = Quoting(backslash_escapes=True)


def of_column(postgres_type: str, *values: str | None, quoting: Quoting = ESCAPING) -> list[str] | None:
    literals = plain_literals(postgres_type, for_postgres(postgres_type), quoting, is_key=False)
    assert literals is not None
    return literals(list(values))


@pytest.mark.parametrize(
    ("postgres_type", "values", "literals"),
    [
        ("integer", ["1", None, "-2"], ["1", "null", "-2"]),
        ("boolean", [None, "t", "f"], ["null", "true", "false"]),
        ("date", ["2024-12-31"], ["'2024-12-31'"]),
        ("text", ["a", "it's", "c:\\", None], ["'a'", "'it''s'", "'c:\\\\'", "null"]),
        ("text", [None, None], ["null", "null"]),
        ("bytea", ["\\x00ff"], ["from_hex('00ff')"]),
        ("jsonb", ['{"a": "it\'s"}', None], ["json_parse('{\"a\": \"it''s\"}')", "null"]),
        ("text[]", ["{a,NULL}"], ["json_parse('[\"a\",null]')"]),
    ],
)
def test_column_of_plain_values_is_written_at_once(
    postgres_type: str, values: list[str | None], literals: list[str]
) -> None:
    assert of_column(postgres_type, *values) == literals


@pytest.mark.parametrize(
    ("postgres_type", "odd"), [("integer", "x"), ("text", "a\0b"), ("numeric(5,2)", "1.234")]
)
def test_column_with_an_odd_value_is_looked_at_one_by_one(postgres_type: str, odd: str) -> None:
    assert of_column(postgres_type, "1", odd) is None


@given(st.sampled_from(TYPES), st.lists(ANYTHING | st.none(), max_size=4), st.booleans())
def test_column_says_what_its_values_say_alone(
    postgres_type: str, values: list[str | None], escapes: bool
) -> None:
    quoting = Quoting(backslash_escapes=escapes)
    literals = of_column(postgres_type, *values, quoting=quoting)
    if literals is None:
        return
    alone = literalizer(postgres_type, for_postgres(postgres_type), Policies(), quoting)
    for value, literal in zip(values, literals, strict=True):
        said = "null" if value is None else alone(value)
        if for_postgres(postgres_type).family == "numeric" and value is not None:
            assert Decimal(literal) == Decimal(said)
        else:
            assert literal == said


COLUMNS = (Column("id", "integer"), Column("name", "text"), Column("at", "time without time zone"))


def staged(*rows: tuple[str | None, ...]) -> bytes:
    table = TableChanges(
        "t", "both", ("r",), ("id",), COLUMNS, [Change("INSERT", at, row) for at, row in enumerate(rows, 1)]
    )
    shape = Shape(
        "t__versions", "t_history", {each.name: for_postgres(each.type) for each in COLUMNS}, "both"
    )
    found = stage(0, table, shape, Policies(), ESCAPING)
    return b" ".join(found.statements[1:]).partition(b" values ")[2]


def test_rows_keep_their_order_whatever_their_columns_are_made_by() -> None:
    rows = staged(("1", "a", "10:00:00"), ("2", "\\N", None), ("3", None, "11:00:00"))
    assert rows == (
        b"(1,'a','10:00:00',1,false,true),(2,'\\\\N',null,2,false,true),(3,null,'11:00:00',3,false,true)"
    )


def test_each_row_that_cannot_go_is_named_though_the_others_are_plain() -> None:
    with pytest.raises(RefusedChanges) as refused:
        staged(("1", "a", None), ("2", "a", "noon"), (None, "a", None), ("4", "\ud800", None))
    assert [each.version for each in refused.value.refusals] == [2, 3, 4]
