"""Tokens: what a rule must never mistake for code."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.redshift import tokens
from local.redshift.tokens import KEPT_LENGTH, statements

SQL_PIECES = st.sampled_from(
    [
        "'",
        '"',
        "\\",
        "--",
        "/*",
        "*/",
        "$$",
        "$a$",
        "$1",
        ";",
        "\n",
        " ",
        "select",
        "E'",
        "::",
        "é",
        "(",
        ")",
        "[",
        "#t",
    ]
)


def texts(sql: str) -> list[str]:
    return [statement.text for statement in statements(sql)]


@given(st.lists(SQL_PIECES, max_size=30).map("".join) | st.text(max_size=40))
def test_tokens_joined_are_the_text_they_came_from(sql: str) -> None:
    whole = "".join("".join(token.text for token in one.tokens) for one in statements(sql.replace(";", "")))
    assert whole in (sql.replace(";", ""), "")


@given(st.lists(SQL_PIECES, max_size=30).map("".join))
def test_statements_end_where_their_tokens_say(sql: str) -> None:
    one_by_one, position = [], 0
    while position < len(sql):
        found, position = tokens._until_semicolon(sql, position)
        one_by_one.append("".join(token.text for token in found if token.kind not in ("space", "comment")))
    kept = ["".join(each.tokens[at].text for at in each.code) for each in statements(sql)]
    assert list(filter(None, kept)) == list(filter(None, one_by_one))


def test_statement_that_comes_again_is_read_once() -> None:
    merge = "delete from stage using t where t.id = stage.id"
    first, again = statements(f"{merge};{merge}")
    assert first is again


def test_long_statement_is_not_kept() -> None:
    sql = f"select {'1, ' * KEPT_LENGTH} 1"
    first, again = statements(f"{sql};{sql}")
    assert first is not again


@pytest.mark.parametrize(
    "sql",
    [
        "select 'a;b'",
        "select 'it''s; fine'",
        r"select 'a backslash escapes \'; here'",
        'select "a;b"',
        "select 1 -- a; b\n",
        "select /* a; /* nested; */ b; */ 1",
        "create procedure p() as $$ begin; end; $$ language plpgsql",
        "select $tag$ a; $$ b; $tag$",
    ],
)
def test_semicolons_that_separate_nothing_split_nothing(sql: str) -> None:
    assert texts(sql + "; select 2") == [sql, " select 2"]


def test_statement_that_is_only_a_comment_is_left_out() -> None:
    assert texts("select 1; -- the end\n;; /* really */") == ["select 1"]


def test_empty_text_is_one_empty_statement() -> None:
    assert [statement.code for statement in statements(" ")] == [[]]


def test_strings_names_and_comments_have_no_keywords() -> None:
    (statement,) = statements("""select 'on conflict', "returning", 1 -- for update\n""")
    assert statement.keys == ["select", "'", ",", '"', ",", "number"]


def bulk(
    rows: int, row: str = "(1, 'it''s \\' a ) value; --', null, -2.5e3, true, json_parse('{\"a\": []}'))"
) -> str:
    return 'insert into "t" ("a", "b") values ' + ", ".join([row] * rows)


def test_insert_of_literals_is_taken_whole_and_ends_where_it_ends() -> None:
    insert = bulk(2_000)
    found = statements(f"begin; {insert} ; commit")
    assert [one.verb for one in found] == ["begin", "insert", "commit"]
    assert found[1].tokens == []
    assert found[1].text.strip() == insert


def test_token_of_a_batch_is_an_insert_of_literals_too() -> None:
    (found,) = statements(
        "insert into t (source, at) values ('accounts', timestamp '2026-11-22 15:04:05.000001')"
    )
    assert found.tokens == []


@pytest.mark.parametrize(
    "tail",
    [
        " on conflict do nothing",
        " returning a",
        ", (1, 'x'::uuid, null, 1, true, null)",
        ", (array[1], 'x', null, 1, true, null)",
    ],
)
def test_insert_with_anything_but_literals_is_looked_at(tail: str) -> None:
    (found,) = statements(bulk(2_000) + tail)
    assert found.tokens


def test_insert_with_upper_case_names_is_looked_at_so_that_they_can_fold() -> None:
    (found,) = statements(bulk(2_000).replace('"a"', '"A"'))
    assert found.tokens


def test_ten_megabytes_of_literals_take_less_than_two_seconds() -> None:
    sql = bulk(120_000)
    assert len(sql) > 8_000_000
    started = time.perf_counter()
    statements(sql)
    assert time.perf_counter() - started < 2
