"""COPY's text format is read back as the fields that PostgreSQL wrote."""

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transform.source import copy_text

ESCAPES = {"\\": r"\\", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}
FIELDS = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
SPECIAL = st.none() | st.text(alphabet="\\\b\f\n\r\t\vNnt.0 xé\x1c\x85\u2028", max_size=12)


def copied(rows: list[list[str | None]]) -> bytes:
    """The rows as COPY ... TO STDOUT writes them."""
    return "".join("\t".join(written(field) for field in row) + "\n" for row in rows).encode()


def written(field: str | None) -> str:
    return r"\N" if field is None else "".join(ESCAPES.get(character, character) for character in field)


@given(
    st.integers(1, 5).flatmap(
        lambda width: st.lists(st.lists(FIELDS | SPECIAL, min_size=width, max_size=width))
    )
)
def test_rows_are_read_as_they_were_written(rows: list[list[str | None]]) -> None:
    assert copy_text.rows(copied(rows)) == rows


@pytest.mark.parametrize(("character", "escape"), ESCAPES.items(), ids=map(repr, ESCAPES))
def test_every_escape_is_read(character: str, escape: str) -> None:
    assert copy_text.rows(f"a{escape}b\t{escape}\n".encode()) == [[f"a{character}b", character]]


def test_null_empty_text_and_the_texts_that_look_like_null_stay_apart() -> None:
    assert copy_text.rows(b"\\N\t\t\\\\N\tN\tx\\\\N\n") == [[None, "", r"\N", "N", r"x\N"]]


def test_no_rows_are_no_rows() -> None:
    assert copy_text.rows(b"") == []


def test_row_of_one_empty_text_is_a_row() -> None:
    assert copy_text.rows(b"\n\n") == [[""], [""]]


def test_line_ends_that_are_not_postgresql_s_do_not_end_a_row() -> None:
    assert copy_text.rows("a\x85b\u2028c\x1cd\n".encode()) == [["a\x85b\u2028c\x1cd"]]


def test_text_that_looks_like_the_end_of_the_copy_is_text() -> None:
    assert copy_text.rows(b"\\\\.\n.\n") == [["\\."], ["."]]


def test_real_server_s_copy_of_every_character_is_read_back(database: str) -> None:
    characters = [chr(code) for code in [*range(1, 0x300), 0x2028, 0xFEFF, 0x1F600, 0x10FFFF]]
    texts = [*characters, *(f"\\{character}" for character in characters), "", r"\N", r"\.", "a\\", "x\\\ny"]
    with psycopg.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute("create table texts (position integer, text text, nothing text)")
        cursor.executemany("insert into texts values (%s, %s, null)", list(enumerate(texts)))
        with cursor.copy("copy (select text, nothing from texts order by position) to stdout") as copy:
            received = b"".join(bytes(block) for block in copy)
    assert copy_text.rows(received) == [[text, None] for text in texts]
