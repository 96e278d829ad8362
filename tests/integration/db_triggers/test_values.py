"""No value that PostgreSQL can hold changes on its way into an event: each is compared with what COPY prints."""

import pytest

from tests.integration.db_triggers.captured import Captured

LITERALS = {
    "smallint": ["-32768", "32767"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "numeric": ["1" * 1000 + "." + "9" * 1000, "NaN", "Infinity", "-Infinity", "0.000", "1e-16383", "100"],
    "numeric(20, 4)": ["1234567890123456.7000", "-0.0001"],
    "numeric(2, -3)": ["99000"],
    "real": ["1e-45", "3.4028235e38", "0.1", "-0", "NaN", "Infinity"],
    "double precision": ["0.1", "4.9e-324", "1.7976931348623157e308", "-Infinity", "0.30000000000000004"],
    "boolean": ["t", "f"],
    "text": [
        "",
        " ",
        "\\N",
        "a\tb\nc\rd\\e",
        "\x01\x7f",
        "ünïcödé \U0001f600 \u200f",
        "'\"$$%s%%",
        "null",
        "NULL",
    ],
    "varchar(5)": ["", "abcde", "a    "],
    "char(6)": ["", "ab", "a b", "ab    "],
    '"char"': ["x", "", "\\200"],
    "name": ["a_name"],
    "bytea": ["", "\\x00ff5c", "\\x" + "de" * 1000],
    "date": ["4713-01-01 BC", "5874897-12-31", "infinity", "-infinity", "0001-01-01"],
    "time(3)": ["00:00:00.001", "24:00:00"],
    "time with time zone": ["23:59:59.999999-15:59"],
    "timestamp": ["4713-01-01 00:00:00 BC", "294276-12-31 23:59:59.999999", "infinity"],
    "timestamptz": [
        "0044-03-15 12:00:00+00 BC",
        "2026-10-25 02:30:00+02",
        "-infinity",
        "1900-01-01 00:00:00.000001+00",
    ],
    "timestamptz(0)": ["2026-01-01 00:00:00.6+00"],
    "interval": ["1 year 2 mons -3 days 04:05:06.789", "-178000000 years", "0"],
    "interval day to second(3)": ["3 days 04:05:06.789"],
    "uuid": ["00000000-0000-0000-0000-000000000000"],
    "json": [' {"b" : 1,\n "a":1.0, "b": 2e0}\t', "null", '"\\u00e9"'],
    "jsonb": ['{"b": 1.00, "a": [null, true, "\\u0001"]}', "null", "1" * 400],
    "jsonpath": ["$.a[*] ? (@ > 1)"],
    "inet": ["::1/64", "192.168.0.1"],
    "cidr": ["10.0.0.0/8"],
    "macaddr8": ["08:00:2b:01:02:03:04:05"],
    "bit(8)": ["10101010"],
    "bit varying": ["", "1" * 300],
    "money": ["-1234.56"],
    "point": ["(1.5,-2e-7)"],
    "path": ["[(0,0),(1,1)]", "((0,0),(1,1))"],
    "polygon": ["((0,0),(1,1),(2,0))"],
    "tsvector": ["'a':1A 'it''s':2"],
    "tsquery": ["'a' & !'b':*"],
    "int4range": ["[1,5)", "empty", "(,)"],
    "tstzrange": ['["2026-01-01 00:00:00+00",infinity)'],
    "nummultirange": ["{[1.5,2.0),[3,)}"],
    "oid": ["4294967295"],
    "pg_lsn": ["FFFFFFFF/FFFFFFFF"],
    "xid8": ["18446744073709551615"],
    "integer[]": ["{}", "{1,NULL,3}", "[0:1][-1:0]={{1,2},{3,4}}"],
    "text[]": ['{"a,b","\\"q\\"","NULL",NULL,""}', "{{a,b},{c,d}}"],
    "varchar(3)[]": ["{abc,a}"],
    "char(4)[]": ['{ab,"a b"}'],
    "bit(8)[]": ["{10101010,00000001}"],
    "bit varying(8)[]": ["{1,10101010}"],
    "numeric(6, 2)[]": ["{1.50,NaN}"],
    "timestamptz[]": ['{"2026-01-01 00:00:00+00",infinity}'],
    "jsonb[]": ['{"{\\"a\\": 1}"}'],
    "int4range[]": ['{"[1,5)",empty}'],
    "mood": ["sad", "so happy"],
    "mood[]": ['{sad,"so happy",NULL}'],
    "pair": ["(,)", '(1,"a,b")'],
    "pair[]": ['{"(1,x)",NULL}'],
    "positive": ["42"],
    "positive[]": ["{1,2}"],
    "tag": ["padded"],
    "a_mood": ["sad"],
    "float_span": ["[0.5,1.5]"],
    "xml": [],
}

TYPES = """
create type mood as enum ('sad', 'so happy');
create type pair as (number int, label text);
create domain positive as int check (value > 0);
create domain tag as char(10);
create domain a_mood as mood not null;
create type float_span as range (subtype = float8);
"""


def test_every_type_arrives_as_copy_prints_it(captured: Captured) -> None:
    captured.run(TYPES)
    columns = [f"c{position} {kind}" for position, kind in enumerate(LITERALS)]
    nullable = [column for column in columns if not column.endswith("a_mood")]
    captured.run(f"create table thing (id int primary key, {', '.join(nullable)})")
    captured.install("public.thing")
    number = 0
    for position, (kind, literals) in enumerate(LITERALS.items()):
        for literal in literals if kind != "a_mood" else []:
            number += 1
            cast = f"{{}}::{kind}" if kind.endswith("[]") or kind == "tag" else "{}"
            value = cast.format("'" + literal.replace("'", "''") + "'")
            captured.run(f"insert into thing (id, c{position}) values ({number}, {value})")
    captured.run(
        "insert into thing (id) values (0); update thing set id = id + 1000; delete from thing where id = 1003"
    )
    inserted = len([event for event in captured.events() if event.op == "I"])
    assert inserted == number + 1
    assert captured.differences() == []


def test_a_not_null_domain_over_an_enum_is_captured(captured: Captured) -> None:
    captured.run(TYPES)
    captured.run("create table feeling (id int primary key, felt a_mood)")
    captured.install("public.feeling")
    captured.run("insert into feeling values (1, 'sad'); update feeling set felt = 'so happy'")
    assert captured.differences() == []


def test_a_row_of_nothing_but_nulls_is_not_taken_for_null(captured: Captured) -> None:
    captured.run(TYPES)
    captured.run("create table thing (id int primary key, p pair)")
    captured.install("public.thing")
    captured.run("insert into thing values (1, row(null, null)), (2, null)")
    assert [event.after["p"] for event in captured.events()] == ["(,)", None]


def test_ten_megabytes_in_one_value_arrive_whole(captured: Captured) -> None:
    captured.run("create table page (id int primary key, body text, raw bytea)")
    captured.install("public.page")
    captured.run(
        "insert into page select 1, repeat('wörd \\', 2000000), decode(repeat('ab', 1000000), 'hex')"
    )
    captured.run("update page set id = 2")
    assert [len(event.after["body"] or "") for event in captured.events()] == [12_000_000] * 2
    assert captured.differences() == []


def test_identity_default_and_stored_generated_columns_are_captured_as_they_were_filled(
    captured: Captured,
) -> None:
    captured.run(
        "create table bill (id bigint generated always as identity primary key, net numeric not null,"
        " gross numeric generated always as (net * 1.19) stored, at timestamptz default now(), ref uuid default gen_random_uuid())"
    )
    captured.install("public.bill")
    captured.run("insert into bill (net) values (1), (2.5); update bill set net = 3 where id = 1")
    assert [event.after["gross"] for event in captured.events()] == ["1.19", "2.975", "3.57"]
    assert captured.differences() == []


def test_virtual_generated_columns_are_captured(captured: Captured) -> None:
    if captured.app.info.server_version < 180000:
        pytest.skip("PostgreSQL 18 brought them")
    captured.run(
        "create table bill (id int primary key, net numeric, label text,"
        " gross numeric generated always as (net * 2), shout text generated always as (upper(label) || '!') virtual)"
    )
    captured.install("public.bill")
    captured.run("insert into bill (id, net, label) values (1, 1, 'a'), (2, 5, 'b')")
    captured.run("update bill set net = 3 where id = 1; delete from bill where id = 2")
    assert [event.after["gross"] for event in captured.events()] == ["2", "10", "6", None]
    assert captured.differences() == []
    captured.run("alter table bill alter column gross set expression as (net * 7); update bill set net = net")
    assert captured.differences() == []


def test_a_cast_that_an_application_defined_does_not_change_what_is_captured(captured: Captured) -> None:
    captured.run(TYPES)
    captured.run(
        "create function lie(mood) returns text language sql as $$ select 'a lie' $$;"
        " create cast (mood as text) with function lie(mood)"
    )
    captured.run("create table feeling (id int primary key, felt mood)")
    captured.install("public.feeling")
    captured.run("insert into feeling values (1, 'sad')")
    assert captured.events()[0].after["felt"] == "sad"
