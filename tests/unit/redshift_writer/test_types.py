"""Every PostgreSQL type has a Redshift type, and what a table has already is taken for what it is."""

import pytest

from redshift_writer.types import RedshiftType, for_postgres, from_catalog

TYPES = {
    "boolean": "boolean",
    "smallint": "smallint",
    "int2": "smallint",
    "integer": "integer",
    "int4": "integer",
    "bigint": "bigint",
    "int8": "bigint",
    "oid": "bigint",
    "numeric": "numeric(38,18)",
    "numeric(12,2)": "numeric(12,2)",
    "numeric(5)": "numeric(5,0)",
    "numeric(50,3)": "numeric(38,18)",
    "real": "real",
    "double precision": "double precision",
    "text": "varchar(65535)",
    "character varying": "varchar(65535)",
    "character varying(20)": "varchar(80)",
    "character varying(20000)": "varchar(65535)",
    "character": "varchar(65535)",
    "character(3)": "varchar(12)",
    "bpchar": "varchar(65535)",
    "uuid": "varchar(36)",
    "date": "date",
    "timestamp without time zone": "timestamp",
    "timestamp(3) without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
    "time without time zone": "time",
    "time with time zone": "timetz",
    "interval": "varchar(128)",
    "inet": "varchar(64)",
    "cidr": "varchar(64)",
    "macaddr": "varchar(32)",
    "json": "super",
    "jsonb": "super",
    "bytea": "varbyte(32767)",
    "integer[]": "super",
    "text[]": "super",
    "timestamp with time zone[]": "super",
    "jsonb[]": "super",
    "tsrange": "varchar(65535)",
    "int4multirange": "varchar(65535)",
    "point": "varchar(65535)",
    "money": "varchar(65535)",
    "bit varying": "varchar(65535)",
    "tsvector": "varchar(65535)",
    "public.mood": "varchar(65535)",
    "hstore": "varchar(65535)",
}


@pytest.mark.parametrize(("postgres", "redshift"), TYPES.items())
def test_postgres_type_has_its_redshift_type(postgres: str, redshift: str) -> None:
    assert for_postgres(postgres).sql == redshift


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("bigint", RedshiftType("integer", 64)),
        ("numeric(38,18)", RedshiftType("numeric", 38, 18)),
        ("character varying(80)", RedshiftType("string", 80)),
        ("character(3)", RedshiftType("string", 3)),
        ("super", RedshiftType("document", 65_535)),
        ("binary varying(100)", RedshiftType("binary", 100)),
        ("binary varying(1000000)", RedshiftType("binary", 32_767)),
        ("varbyte", RedshiftType("binary", 32_767)),
        ("timestamp with time zone", RedshiftType("timestamptz")),
        ("geometry", None),
        ("hllsketch", None),
    ],
)
def test_column_that_exists_is_taken_for_what_it_is(printed: str, expected: RedshiftType | None) -> None:
    assert from_catalog(printed) == expected


@pytest.mark.parametrize(
    ("present", "wanted", "takes"),
    [
        ("character varying(20)", "integer", True),
        ("integer", "bigint", True),
        ("numeric(38,0)", "bigint", True),
        ("bigint", "numeric", False),
        ("integer", "text", False),
        ("date", "timestamp without time zone", False),
        ("super", "text", False),
    ],
)
def test_column_takes_what_it_can_hold(present: str, wanted: str, takes: bool) -> None:
    column = from_catalog(present)
    assert column is not None
    assert column.takes(for_postgres(wanted)) is takes
