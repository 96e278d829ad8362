"""Values of every type come out of Redshift as PostgreSQL printed them."""

import datetime
import json
from collections.abc import Callable
from decimal import Decimal

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgevents.batch import Change, Column, TableChanges
from tests.integration.redshift_writer.conftest import Apply, Target

# How the outbox prints values (pgevents.batch).
PRINTED = """
set datestyle = 'ISO'; set timezone = 'UTC'; set intervalstyle = 'iso_8601'; set bytea_output = 'hex';
set extra_float_digits = 1
"""
TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
TRICKY = TEXT | st.sampled_from(
    ["", "'", "\\", "\\'", "'; drop table t; --", "$$", "NULL", "null", "{}", '"', "\n", "%s", "\\x00"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | TRICKY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TRICKY, inner, max_size=3),
    max_leaves=6,
)
YEARS = {"min_value": datetime.datetime(1, 1, 1), "max_value": datetime.datetime(9999, 12, 31)}


def array(items: st.SearchStrategy[str | None]) -> st.SearchStrategy[str]:
    def printed(values: list[str | None]) -> str:
        quoted = [
            "NULL" if v is None else '"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' for v in values
        ]
        return "{" + ",".join(quoted) + "}"

    return st.lists(items, max_size=4).map(printed)


INPUTS: dict[str, st.SearchStrategy[str]] = {
    "smallint": st.integers(-(2**15), 2**15 - 1).map(str),
    "integer": st.integers(-(2**31), 2**31 - 1).map(str),
    "bigint": st.integers(-(2**63), 2**63 - 1).map(str),
    "numeric": st.decimals(-(10**19), 10**19, places=18).map(lambda value: format(value, "f")),
    "numeric(12,2)": st.decimals(-(10**9), 10**9, places=2).map(str),
    "real": st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    "double precision": st.floats(allow_nan=False, allow_infinity=False).map(repr),
    "boolean": st.sampled_from(["t", "f"]),
    "text": TRICKY,
    "character varying(40)": TRICKY,
    "character(40)": TRICKY,
    "uuid": st.uuids().map(str),
    "date": st.dates().map(str) | st.sampled_from(["0044-03-15 BC", "4713-01-01 BC", "294276-12-31"]),
    "timestamp without time zone": st.datetimes(**YEARS).map(str) | st.just("4713-01-01 00:00:00 BC"),
    "timestamp with time zone": st.datetimes(**YEARS).map(lambda moment: f"{moment}+02"),
    "time without time zone": st.times().map(str) | st.just("24:00:00"),
    "time with time zone": st.times().map(lambda time: f"{time}-03:30"),
    "interval": st.timedeltas().map(lambda delta: f"{delta.days} days {delta.seconds} seconds"),
    "inet": st.ip_addresses().map(str),
    "json": JSON.map(json.dumps).filter(lambda text: "\\u0000" not in text),
    "jsonb": JSON.map(json.dumps).filter(lambda text: "\\u0000" not in text),
    "bytea": st.binary(max_size=60).map(lambda value: "\\x" + value.hex()),
    "int4range": st.tuples(st.integers(-99, 0), st.integers(1, 99)).map(
        lambda pair: f"[{pair[0]},{pair[1]})"
    ),
    "point": st.just("(1.5,-2)"),
    "integer[]": array(st.none() | st.integers(-(2**31), 2**31 - 1).map(str)),
    "text[]": array(st.none() | TRICKY),
    "boolean[]": array(st.none() | st.sampled_from(["t", "f"])),
    "numeric[]": array(st.none() | st.integers(-(10**30), 10**30).map(str)),
    "jsonb[]": array(st.none() | st.just('{"a": [1, "x\\"y"]}')),
    "uuid[]": array(st.uuids().map(str)),
}
# How the stored value is compared with the original one, as SQL over `found` and `original`.
SAME = {
    "json": "found = original::jsonb",
    "jsonb": "found = original",
    "bytea": "found = original",
    "uuid": "found = original::text",
    "real": "found = original",
}


def same(postgres_type: str) -> str:
    if postgres_type.endswith("[]"):
        return "found = to_jsonb(original)"
    if postgres_type in SAME:
        return SAME[postgres_type]
    if "char" in postgres_type or postgres_type in ("text", "interval", "inet", "int4range", "point"):
        return "found = printed"
    return "found = original"


@pytest.mark.parametrize("postgres_type", INPUTS)
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_value_is_what_postgresql_printed(
    target: Target, apply: Apply, data: st.DataObject, postgres_type: str
) -> None:
    inputs = data.draw(st.lists(INPUTS[postgres_type], min_size=1, max_size=25))
    with psycopg.connect(target.warehouse.upstream, autocommit=True) as source:
        source.execute(PRINTED)
        source.execute("drop table if exists original")
        source.execute(
            f"create temp table original (id bigint, original {postgres_type}, printed text)".encode()
        )
        for number, text in enumerate([*inputs, None], 1):
            source.execute(f"insert into original values (%s, %s::{postgres_type})".encode(), [number, text])
        with source.cursor().copy("copy (select id, original from original order by id) to stdout") as copy:
            rows = list(copy.rows())
        source.cursor().executemany(
            "update original set printed = %s where id = %s", [row[::-1] for row in rows]
        )
        name = "t" + str(abs(hash(postgres_type)))
        target.execute("create schema if not exists {s}")
        target.execute(f"drop table if exists {{s}}.{name}__versions cascade")
        target.execute("drop table if exists {s}.pgevents_truncation, {s}.pgevents_applied_batch")
        columns = (Column("id", "bigint"), Column("found", postgres_type))
        changes = [Change("INSERT", number, tuple(row)) for number, row in enumerate(rows, 1)]
        apply(TableChanges(name, "mirror", ("warehouse",), ("id",), columns, changes))
        different = source.execute(
            f"select id, original::text, found::text from original "
            f'full join "{target.schema}".{name} using (id) '
            f"where not coalesce({same(postgres_type)}, original is null and found is null)".encode()
        ).fetchall()
    assert different == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{1,2},{3,NULL}}", [[1, 2], [3, None]]),
        ("[0:2]={7,8,9}", [7, 8, 9]),
        ("{}", []),
    ],
)
def test_shapes_of_arrays(target: Target, apply: Apply, text: str, expected: object) -> None:
    with psycopg.connect(target.warehouse.upstream) as source:
        ((printed,),) = source.execute("select %s::int[]::text", [text]).fetchall()
    columns = (Column("id", "bigint"), Column("found", "integer[]"))
    apply(TableChanges("a", "mirror", ("w",), ("id",), columns, [Change("INSERT", 1, ("1", printed))]))
    assert target.look("select found from {s}.a") == [(expected,)]


def test_largest_values_fit(target: Target, apply: Apply) -> None:
    document = json.dumps({"a": "x" * 65_526})
    row = ("1", "é" * 32_767 + "x", "\\x" + "ff" * 32_767, document, "-" + "9" * 20 + "." + "9" * 18)
    kinds = ("bigint", "text", "bytea", "jsonb", "numeric")
    columns = tuple(Column(f"c{number}", kind) for number, kind in enumerate(kinds))
    apply(TableChanges("large", "mirror", ("w",), ("c0",), columns, [Change("INSERT", 1, row)]))
    ((text, binary, size, number),) = target.look(
        "select octet_length(c1), octet_length(c2), octet_length(c3->>'a'), c4::text from {s}.large"
    )
    assert (text, binary, size, number) == (65_535, 32_767, 65_526, row[4])


@pytest.mark.parametrize(
    "kind", ["text", "uuid", "date", "numeric", "boolean", "bytea", "timestamp with time zone"]
)
def test_key_of_any_comparable_type(target: Target, apply: Apply, kind: str) -> None:
    values = {
        "text": ("a'\\b", "c"),
        "uuid": ("7d444840-9dc0-11d1-b245-5ffdce74fad2", "00000000-0000-0000-0000-000000000000"),
        "date": ("2024-01-01", "2024-01-02"),
        "numeric": (str(Decimal("1.5")), "2"),
        "boolean": ("t", "f"),
        "bytea": ("\\x00", "\\x"),
        "timestamp with time zone": ("2024-01-01 00:00:00+00", "2024-01-01 00:00:00.000001+00"),
    }[kind]

    def change(version: int, clause: str, key: str, text: str | None) -> Change:
        return Change(clause, version, (key, text))  # type: ignore[arg-type]

    columns = (Column("k", kind), Column("v", "text"))
    table: Callable[[list[Change]], TableChanges] = lambda changes: TableChanges(  # noqa: E731
        "keyed", "both", ("w",), ("k",), columns, changes
    )
    apply(table([change(1, "INSERT", values[0], "a"), change(2, "INSERT", values[1], "b")]))
    apply(table([change(3, "INSERT", values[0], "c"), change(4, "DELETE", values[1], None)]))
    assert target.look("select v from {s}.keyed") == [("c",)]
    assert target.look("select count(*) from {s}.keyed_history") == [(4,)]
