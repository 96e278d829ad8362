"""Names in Redshift."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.redshift.tokens import statements
from pgevents.errors import TerminalError
from redshift_writer.identifiers import folded, listed, qualified, quoted, refuse_ambiguous


@pytest.mark.parametrize(
    ("name", "expected"),
    [("id", '"id"'), ("Order", '"order"'), ('a"b', '"a""b"'), ("select", '"select"'), ("ÉÀ b", '"ÉÀ b"')],
)
def test_name_is_folded_and_quoted(name: str, expected: str) -> None:
    assert quoted(name) == expected


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30))
def test_no_name_ends_its_quotes(name: str) -> None:
    (statement,) = statements(f"select {quoted(name)}")
    assert statement.keys == ["select", '"']


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 128, "é" * 64])
def test_name_that_redshift_cannot_have_is_refused(name: str) -> None:
    with pytest.raises(TerminalError, match="cannot be a name"):
        quoted(name)


def test_longest_name_passes() -> None:
    assert quoted("x" * 127) == '"' + "x" * 127 + '"'


def test_lists_and_schemas() -> None:
    assert (qualified("Public", "t"), listed(["A", "b"], "s.")) == ('"public"."t"', 's."a", s."b"')


def test_names_that_differ_in_case_only_are_refused() -> None:
    with pytest.raises(TerminalError, match="'Name' and 'NAME' are one name"):
        refuse_ambiguous("t", ["id", "Name", "NAME"])


def test_names_of_the_writers_own_columns_are_refused() -> None:
    with pytest.raises(TerminalError, match="'_Version'"):
        refuse_ambiguous("t", ["id", "_Version"])


def test_letters_beyond_ascii_keep_their_case() -> None:
    assert folded("ÄAz") == "Äaz"
    refuse_ambiguous("t", ["ä", "Ä"])
