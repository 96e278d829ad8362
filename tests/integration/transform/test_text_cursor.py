"""A query's rows come as the texts that COPY prints, whatever their types."""

from collections.abc import Iterator

import psycopg
import pytest

from transform.connections import SOURCE_SESSION
from transform.source import copy_text
from transform.source.text_cursor import streamed

VALUES = """
true, false, -1::smallint, 2147483647, -9223372036854775808, 1e-7::real, 'NaN'::float8, 0.1::float8 + 0.2::float8,
1.10::numeric, 'Infinity'::numeric, 'x'::"char", 'a'::bpchar, 'ä''"\\'::text, e'\\t\\n\\r\\b\\\\N'::text, ''::text,
null::text, null::integer, '\\x00ff'::bytea, 'infinity'::date, '0044-03-15 BC'::date, '2026-11-28 12:00:00.5+01'::timestamptz,
interval '1 year -2 days 03:00', uuid '00000000-0000-0000-0000-00000000000a', '{"a": [1.50, null]}'::json, '{"b": 1e2}'::jsonb,
array[1, null, 3], array['a b', null, '"'], int4range(1, 5), row(1, 'x', null), '10.0.0.0/8'::inet, b'101'::varbit,
'happy'::mood, '12.30'::money, '(1,2)'::point, to_tsvector('english', 'a fat cat'), pg_current_xact_id()
"""


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(SOURCE_SESSION.encode())
        connection.execute("create type mood as enum ('happy')")
        yield connection


def test_every_type_is_read_as_copy_prints_it(connection: psycopg.Connection) -> None:
    with connection.transaction():
        (row,) = streamed(connection, f"select {VALUES}")
        with connection.cursor() as cursor, cursor.copy(f"copy (select {VALUES}) to stdout".encode()) as copy:
            (printed,) = copy_text.rows(b"".join(bytes(block) for block in copy))
    assert list(row) == printed
    assert None in row
    assert "" in row


def test_every_character_is_read(connection: psycopg.Connection) -> None:
    characters = [chr(code) for code in [*range(1, 0x300), 0x2028, 0xFEFF, 0x1F600, 0x10FFFF]]
    connection.execute("create table texts (position integer, text text)")
    connection.cursor().executemany("insert into texts values (%s, %s)", list(enumerate(characters)))
    rows = list(streamed(connection, "select text, null from texts order by position"))
    assert rows == [(character, None) for character in characters]


def test_rows_beyond_those_taken_at_a_time_are_read_too(connection: psycopg.Connection) -> None:
    rows = list(streamed(connection, "select g, 'row ' || g from generate_series(1, 1001) as g"))
    assert rows == [(str(number), f"row {number}") for number in range(1, 1002)]


def test_a_reader_that_leaves_in_the_middle_leaves_the_connection_usable(
    connection: psycopg.Connection,
) -> None:
    reading = streamed(connection, "select generate_series(1, 100000)")
    assert next(reading) == ("1",)
    reading.close()  # type: ignore[attr-defined]
    assert connection.execute("select 1").fetchone() == (1,)
