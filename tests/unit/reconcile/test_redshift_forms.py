"""What Redshift must hold of a value is told from what it prints of it."""

import pytest

from ops.comparison.redshift_forms import read_form, source_form
from pgevents.batch import Column
from pgevents.config import Policies
from redshift_writer.literals import Quoting
from redshift_writer.types import for_postgres

QUOTING = Quoting(backslash_escapes=True)


def held(kind: str, text: str, policies: Policies | None = None, is_key: bool = False) -> str | None:
    form = source_form(Column("c", kind), for_postgres(kind), policies or Policies(), QUOTING, is_key=is_key)
    return form(text)


@pytest.mark.parametrize(
    ("kind", "source", "printed"),
    [
        ("numeric", "1.50", "1.500000000000000000"),
        ("integer", "-7", "-7"),
        ("boolean", "t", "true"),
        ("real", "0.1", "0.10000000149011612"),
        ("double precision", "1e-07", "0.0000001"),
        ("bytea", "\\xDEADbeef", "deadbeef"),
        ("jsonb", '{"b": 1.10, "a": [null]}', '{"a":[null],"b":1.1}'),
        ("text[]", '{a,NULL,"b c"}', '["a",null,"b c"]'),
        ("integer[]", "{1,2}", "[1,2]"),
        ("uuid", "0e37df36-f698-11e6-8dd4-cb9ced3df976", "0e37df36-f698-11e6-8dd4-cb9ced3df976"),
        ("timestamp with time zone", "2026-11-22 15:00:00.5+00", "2026-11-22 15:00:00.5+00"),
    ],
)
def test_equal_values_have_one_form(kind: str, source: str, printed: str) -> None:
    assert held(kind, source) == read_form(Column("c", kind))(printed)


def test_other_values_have_other_forms() -> None:
    assert held("numeric", "1.5") != read_form(Column("c", "numeric"))("1.51")
    assert held("text", "1.50") != read_form(Column("c", "text"))("1.5")
    assert held("jsonb", '{"a": 1}') != read_form(Column("c", "jsonb"))('{"a":"1"}')


def test_a_policy_says_what_is_held_instead_of_what_does_not_fit() -> None:
    policies = Policies(too_long="truncate", out_of_range="null")
    assert held("numeric", "NaN", policies) is None
    assert held("text", "ä" * 40_000, policies) == "ä" * 32_767
    assert held("numeric", "1.0", policies) == "1"
    assert held("text", "short", policies) == "short"
    assert held("numeric", "NaN") == "NaN"


def test_no_policy_changes_a_key() -> None:
    assert held("text", "x" * 70_000, Policies(too_long="truncate"), is_key=True) == "x" * 70_000
