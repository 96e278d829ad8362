"""Redshift's SQL through the wire, on the real server behind it."""

from typing import Any

import psycopg
import pytest

from tests.local.redshift.stand_in import Running


def failure(client: psycopg.Connection, sql: str, *values: Any) -> psycopg.Error:
    with pytest.raises(psycopg.Error) as caught:
        client.execute(sql.encode(), values or None)
    return caught.value


def one(client: psycopg.Connection, sql: str) -> Any:
    row = client.execute(sql.encode()).fetchone()
    assert row is not None
    return row[0] if len(row) == 1 else row


EVERYTHING = """
create table if not exists public."Everything" (
    "Id" bigint identity(10, 5) not null encode az64 distkey,
    code char(3) sortkey,
    name varchar(5) default 'x' unique,
    free text,
    plain varchar,
    long varchar(max) encode zstd,
    amount decimal,
    price numeric(38, 18) references other (id),
    ratio float,
    small float4,
    document super,
    bytes varbyte(4),
    happened timestamp without time zone,
    noted timestamptz default getdate(),
    constraint pk primary key ("Id", code),
    unique (name),
    foreign key (code) references other (id)
)
backup no diststyle key compound sortkey (code, name)
"""


def test_table_with_everything_is_made(stand_in: Running, client: psycopg.Connection) -> None:
    client.execute(EVERYTHING.encode())
    columns = stand_in.look(
        "select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute "
        "where attrelid = 'everything'::regclass and attnum > 0 order by attnum"
    )
    assert columns == [
        ("id", "bigint", True),
        ("code", "character(3)", True),
        ("name", "character varying(5)", False),
        ("free", "character varying(256)", False),
        ("plain", "character varying(256)", False),
        ("long", "character varying(65535)", False),
        ("amount", "numeric(18,0)", False),
        ("price", "numeric(38,18)", False),
        ("ratio", "double precision", False),
        ("small", "real", False),
        ("document", "super", False),
        ("bytes", "varbyte", False),
        ("happened", "timestamp without time zone", False),
        ("noted", "timestamp with time zone", False),
    ]


def test_keys_are_notes_and_identity_counts(client: psycopg.Connection) -> None:
    client.execute(EVERYTHING.encode())
    client.execute("insert into everything (code, name) values ('a', 'x'), ('a', 'x')")
    assert client.execute("select id, code from everything order by id").fetchall() == [
        (10, "a  "),
        (15, "a  "),
    ]


@pytest.mark.parametrize(
    ("column", "fits", "too_long"),
    [
        ("varchar(5)", "ééa", "ééé"),
        ("varchar(5)", "12345", "123456"),
        ("char(3)", "abc", "é12"),
        ("text", "x" * 256, "é" * 129),
        ("varchar(max)", "é" * 32_767, "é" * 32_768),
    ],
)
def test_strings_are_held_to_bytes(client: psycopg.Connection, column: str, fits: str, too_long: str) -> None:
    client.execute(f"create table t (a {column})".encode())
    client.execute("insert into t values (%s)", [fits])
    error = failure(client, "insert into t values (%s)", too_long)
    assert (error.sqlstate, error.diag.message_primary) == ("XX000", "Value too long for character type")
    assert "8001" in str(error.diag.message_detail)
    assert one(client, "select a from t") == fits


def test_varbyte_is_held_to_its_length(client: psycopg.Connection) -> None:
    client.execute("create table t (a varbyte(2))")
    client.execute("insert into t values (from_hex('6162'))")
    assert failure(client, "insert into t values (from_hex('616263'))").diag.message_primary == (
        "Value too long for character type"
    )
    assert one(client, "select to_hex(a), from_varbyte(a, 'utf8') from t") == ("6162", "ab")


def test_limits_hold_in_copies_and_added_columns(client: psycopg.Connection) -> None:
    client.execute("create table t (a varchar(2))")
    client.execute("alter table t add column b varchar(3)")
    client.execute("create temp table s (like t)")
    assert failure(client, "insert into s (a) values ('éé')").sqlstate == "XX000"
    assert failure(client, "insert into t (b) values ('éé')").sqlstate == "XX000"


def test_varchar_can_be_widened(client: psycopg.Connection) -> None:
    client.execute("create table t (a varchar(2))")
    client.execute("alter table t alter column a type varchar(4)")
    client.execute("insert into t values ('éé')")
    assert failure(client, "insert into t values ('ééé')").sqlstate == "XX000"


def test_backslash_escapes_in_plain_strings(client: psycopg.Connection) -> None:
    assert one(client, r"select 'a\\b', 'it\'s', octet_length('\\')") == ("a\\b", "it's", 1)


def test_documents_are_parsed_and_serialized(client: psycopg.Connection) -> None:
    client.execute("create table t (a super)")
    client.execute("""insert into t values (json_parse('{"a": [1, null]}')), (null)""")
    assert one(client, "select json_serialize(a), json_typeof(a) from t limit 1") == (
        '{"a": [1, null]}',
        "object",
    )
    assert one(client, "select can_json_parse('{'), can_json_parse('{}')") == (False, True)


@pytest.mark.parametrize("document", ['{"a": 1', "", '{"a": 1, "a": 2}', '"' + "x" * 65_534 + '"'])
def test_documents_that_redshift_refuses_fail(client: psycopg.Connection, document: str) -> None:
    assert failure(client, "select json_parse(%s)", document).sqlstate == "XX000"


def test_date_functions_of_redshift(client: psycopg.Connection) -> None:
    assert one(
        client,
        "select datediff(month, '2020-01-31', '2020-03-01'), dateadd(day, 1, '2020-02-28')::date::varchar, "
        "getdate() <= sysdate + interval '1 second'",
    ) == (2, "2020-02-29", True)


def test_system_views_of_redshift_show_user_tables(client: psycopg.Connection) -> None:
    client.execute("create table t (a varchar(9))")
    assert client.execute('select tablename, "column", type from pg_table_def').fetchall() == [
        ("t", "a", "character varying(9)")
    ]
    assert client.execute(
        "select table_name from svv_all_tables where schema_name = 'public'"
    ).fetchall() == [("t",)]


def test_names_fold_whether_quoted_or_not(client: psycopg.Connection) -> None:
    client.execute('create table "Mixed" ("Name" int)')
    client.execute('insert into MIXED ("NAME") values (1)')
    cursor = client.execute('select "nAME" as "Alias" from mixed')
    assert cursor.description is not None
    assert [column.name for column in cursor.description] == ["alias"]


def test_statement_over_16_megabytes_is_refused_and_one_below_is_not(client: psycopg.Connection) -> None:
    client.execute("create table t (a varchar(max))")
    row = "('" + "x" * 60_000 + "'), "
    below = "insert into t values " + row * 278 + "('')"
    assert len(below) < 16 * 1024 * 1024
    client.execute(below.encode())
    error = failure(client, "insert into t values " + row * 280 + "('')")
    assert "Statement is too large" in str(error.diag.message_primary)
    assert one(client, "select count(*) from t") == 279


def test_more_than_32767_bind_values_are_refused(client: psycopg.Connection) -> None:
    def values(count: int) -> str:
        return "select 1 where 1 in (" + ", ".join(["%s"] * count) + ")"

    assert client.execute(values(32_767).encode(), [1] * 32_767).fetchone() == (1,)
    assert "32767" in str(failure(client, values(32_768), *[1] * 32_768))
    assert one(client, "select 1") == 1


def test_sort_key_finds_rows_without_reading_the_table(client: psycopg.Connection) -> None:
    client.execute("create table t (id bigint, note varchar(max)) distkey (id) compound sortkey (id)")
    client.execute("insert into t select g, repeat('a note ', 100) from generate_series(1, 5000) as g")
    client.execute("create temp table stage (id bigint, note varchar(max)) sortkey (id)")
    client.execute("insert into stage select id, note from t where id < 20")
    plan = client.execute("explain delete from t using stage where t.id = stage.id").fetchall()
    assert any("Index" in line for (line,) in plan), plan


@pytest.mark.parametrize(
    ("columns", "indexed"),
    [
        ('"Day" date, "a ""b\'c\\\\" numeric', '{day,"a \\"b\'c\\\\\\\\"}'),
        ("source varchar(256), n int", "{source,n}"),
        ("id int, note varchar(257), n int", "{id}"),
        ("note varchar, document super", "{note}"),
        ("long varchar(max), n int", None),
    ],
)
def test_sort_key_is_indexed_as_far_as_it_always_fits(
    stand_in: Running, client: psycopg.Connection, columns: str, indexed: str | None
) -> None:
    names = ", ".join(column.rpartition(" ")[0] for column in columns.split(", "))
    create = f'create table if not exists public."T\'s" ({columns}) sortkey ({names})'
    for _ in range(2):
        assert client.execute(create.encode()).statusmessage == "CREATE TABLE"
    found = stand_in.look(
        "select array(select a.attname from unnest(i.indkey) with ordinality as k (n, at) join pg_attribute a "
        "on a.attrelid = i.indrelid and a.attnum = k.n order by k.at)::text from pg_index i "
        """where i.indrelid = 'public."t''s"'::regclass"""
    )
    assert found == ([(indexed,)] if indexed else [])


def test_client_is_told_of_its_own_statements_only(client: psycopg.Connection) -> None:
    cursor = client.execute("create table t (id int) sortkey (id); insert into t values (1), (2); select 5")
    told = [cursor.statusmessage]
    while cursor.nextset():
        told.append(cursor.statusmessage)
    assert told == ["CREATE TABLE", "INSERT 0 2", "SELECT 1"]
