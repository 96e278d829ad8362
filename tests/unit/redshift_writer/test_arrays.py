"""Arrays in PostgreSQL's text form as JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redshift_writer.arrays import array_to_json, element_to_json


@pytest.mark.parametrize(
    ("text", "element", "expected"),
    [
        ("{}", "integer", []),
        ("{1}", "integer", [1]),
        ("{1,NULL,-3}", "bigint", [1, None, -3]),
        ("{{1,2},{3,4}}", "integer", [[1, 2], [3, 4]]),
        ("{{{1}}}", "integer", [[[1]]]),
        ("[0:1]={7,8}", "integer", [7, 8]),
        ("[-1:0][2:3]={{1,2},{3,4}}", "integer", [[1, 2], [3, 4]]),
        ("{t,f,NULL}", "boolean", [True, False, None]),
        ("{1.50,1e+20}", "double precision", [1.5, 1e20]),
        ('{a,"b c",NULL,"NULL","null"}', "text", ["a", "b c", None, "NULL", "null"]),
        (
            '{"","{}","a,b","say \\"hi\\"","back\\\\slash"}',
            "text",
            ["", "{}", "a,b", 'say "hi"', "back\\slash"],
        ),
        ('{"line\nbreak","tab\t"}', "text", ["line\nbreak", "tab\t"]),
        ('{"2024-01-01 00:00:00+00"}', "timestamp with time zone", ["2024-01-01 00:00:00+00"]),
        ('{"{\\"a\\": [1, null]}",NULL}', "jsonb", [{"a": [1, None]}, None]),
        ('{"(1,\\"x y\\")"}', "public.pair", ['(1,"x y")']),
        ('{"[1,5)"}', "int4range", ["[1,5)"]),
        ("{é,日本}", "text", ["é", "日本"]),
    ],
)
def test_array_becomes_json(text: str, element: str, expected: object) -> None:
    assert json.loads(array_to_json(text, element_to_json(element))) == expected


@pytest.mark.parametrize(
    "text", ["", "1", "{", "}", "{1,2", "1}", "{1}}", "{1},{2}", '{"a}', "{1}x", "[0:1]={", "{x}"]
)
def test_what_is_no_array_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="array|number"):
        array_to_json(text, element_to_json("integer"))


def as_postgres(value: object) -> str:
    if isinstance(value, list):
        return "{" + ",".join(as_postgres(item) for item in value) + "}"
    if value is None:
        return "NULL"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(
    st.lists(st.none() | st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0")), max_size=8)
)
def test_any_text_survives(items: list[str | None]) -> None:
    assert json.loads(array_to_json(as_postgres(items), element_to_json("text"))) == items
