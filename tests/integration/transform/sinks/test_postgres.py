"""What a batch does to a target database, tried on a real one."""

import re
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from pgevents.errors import TransientError
from pgevents.refusals import RefusedChanges
from tests.integration.transform.sinks.batches import batch, delete, insert, table, truncate
from tests.integration.transform.sinks.conftest import Connect
from transform.sinks.postgres import Applied, PostgresSink

Target = psycopg.Connection[Any]

# As COPY prints them under ISO dates, UTC, ISO intervals and hexadecimal bytea.
EXACT_VALUES = {
    "smallint": ["-32768"],
    "integer": ["2147483647"],
    "bigint": ["-9223372036854775808"],
    "numeric": ["1.50", "123456789012345678901234567890.123456789012345678901234567890", "NaN", "-Infinity"],
    "real": ["0.1", "1e-45", "NaN"],
    "double precision": ["0.1", "5e-324", "-Infinity", "-0"],
    "boolean": ["t", "f"],
    "text": [
        "",
        "NULL",
        "null",
        "\\N",
        "\\",
        '"',
        "{}",
        "a\nb\tc\r",
        "'; drop table x; --",
        "é😀\u2028",
        "%s %%",
    ],
    "character varying": ["trailing  "],
    "character": ["ab   "],
    "bit": ["1"],
    "bit varying": ["0101"],
    "uuid": ["0e37df36-f698-11e6-8dd4-cb9ced3df976"],
    "date": ["2026-11-22", "0044-03-15 BC", "10000-01-01", "-infinity"],
    "time without time zone": ["24:00:00", "15:04:05.000001"],
    "time with time zone": ["15:04:05-03:30"],
    "timestamp without time zone": ["2026-11-22 15:04:05.123456", "0001-01-01 00:00:00 BC", "infinity"],
    "timestamp with time zone": ["2026-11-22 15:04:05.1+00", "294276-12-31 23:59:59.999999+00"],
    "interval": ["P1Y2M-3DT-3H-55M-6.789S", "PT0S", "P-1Y-2M3DT-4H-5M-6.000001S"],
    "bytea": ["\\x", "\\x00deadbeef5c22"],
    "json": ['{"b": 1,  "a": 1.0, "a": null}', "null"],
    "jsonb": ['{"a": 1.00, "b": [1, null, "x\\"y"]}', "null", '"text"'],
    "integer[]": ["{}", "{1,NULL,-3}", "{{1,2},{3,4}}", "[2:3]={7,8}"],
    "text[]": ['{"a b",NULL,"NULL","","\\"\\\\",","}'],
    "character varying[]": ["{a}"],
    "timestamp with time zone[]": ['{"2026-11-22 15:04:05+00",NULL}'],
    "inet": ["10.0.0.1/8", "::1"],
    "cidr": ["10.0.0.0/8"],
    "macaddr": ["08:00:2b:01:02:03"],
    "int4range": ["[1,5)", "empty"],
    "tstzrange": ['["2026-01-02 00:00:00+00",infinity)'],
    "int4multirange": ["{[1,3),[5,7)}"],
    "point": ["(1.5,-2)"],
    "tsvector": ["'a':1 'b':2A"],
    "pg_lsn": ["16/B374D848"],
    "oid": ["4294967295"],
    "mood": ["fine"],  # a type of the source that this database has not
    "mood[]": ["{fine,NULL}"],
}

HOSTILE_SESSION = """
set datestyle = 'German'; set timezone = 'Asia/Kathmandu'; set intervalstyle = 'sql_standard';
set bytea_output = 'escape'; set extra_float_digits = -15; set standard_conforming_strings = off
"""
COPY_SESSION = """
set datestyle = 'ISO'; set timezone = 'UTC'; set intervalstyle = 'iso_8601';
set bytea_output = 'hex'; set extra_float_digits = 1
"""


def rows(target: Target, name: str = "account") -> list[tuple[Any, ...]]:
    return target.execute(f"select * from replica.{name} order by 1").fetchall()


def type_of(target: Target, column: str, name: str = "account") -> Any:
    found = target.execute(
        "select format_type(atttypid, atttypmod) from pg_attribute"
        " where attrelid = %s::regclass and attname = %s",
        [f"replica.{name}", column],
    ).fetchone()
    return found and found[0]


def test_batch_is_applied_once_however_often_it_comes(
    sink: PostgresSink, connect: Connect, target: Target
) -> None:
    first = batch(table([insert(1, "1", "Ada"), insert(2, "2", "Bob")]))

    assert sink.apply(first) == Applied(already=False, rows=2)
    target.execute("delete from replica.account")  # shows that nothing is written again

    assert sink.apply(first) == Applied(already=True, rows=0)
    assert PostgresSink(connect(), "replica").apply(first) == Applied(already=True, rows=0)
    assert rows(target) == []


def test_tokens_tell_sources_epochs_and_batches_apart(sink: PostgresSink, target: Target) -> None:
    for version, (source, epoch, batch_id) in enumerate(
        [("a", 0, 1), ("a", 0, 2), ("a", 1, 1), ("b", 0, 1)], 1
    ):
        one = batch(table([insert(version, "1", "x")]), source=source, epoch=epoch, batch_id=batch_id)
        assert sink.apply(one) == Applied(already=False, rows=1)
    found = target.execute("select count(*), sum(changes) from replica.pgevents_applied_batch").fetchone()
    assert found == (4, 4)


def test_second_bringer_waits_for_the_first_and_then_does_nothing(connect: Connect, target: Target) -> None:
    sinks = [PostgresSink(connect(), "replica") for _ in range(2)]
    sinks[0].apply(batch(table([insert(1, "1", "x")])))
    sinks[1].apply(batch(table([insert(1, "1", "x")]), batch_id=2))
    contested = batch(table([insert(3, "1", "once")], mode="both"), batch_id=3)

    with connect() as holder, ThreadPoolExecutor(2) as bringers, holder.transaction():
        holder.execute("lock table replica.account in access exclusive mode")
        applying = [bringers.submit(sink.apply, contested) for sink in sinks]
        wait_for_blocked(target, 2)
        assert not any(one.done() for one in applying)
        holder.execute("commit")
        outcomes = sorted((one.result() for one in applying), key=lambda applied: applied.already)

    assert outcomes == [Applied(already=False, rows=2), Applied(already=True, rows=0)]


def wait_for_blocked(target: Target, count: int) -> None:
    for _ in range(200):
        found = target.execute(
            "select count(*) from pg_stat_activity where datname = current_database()"
            " and wait_event_type = 'Lock'"
        ).fetchone()
        if found == (count,):
            return
        time.sleep(0.02)
    raise AssertionError(f"{found} connections wait, not {count}")


def test_connection_that_breaks_leaves_nothing_and_the_batch_can_be_tried_again(
    connect: Connect, target: Target
) -> None:
    connection = connect()
    sink = PostgresSink(connection, "replica")
    sink.apply(batch(table([insert(1, "1", "x")])))
    second = batch(table([insert(2, "2", "y")]), table([insert(3, "1", "z")], target="holder"), batch_id=2)

    with connect() as holder, ThreadPoolExecutor(1) as bringer, holder.transaction():
        holder.execute("lock table replica.account in access exclusive mode")
        applying = bringer.submit(sink.apply, second)
        wait_for_blocked(target, 1)
        target.execute("select pg_terminate_backend(%s)", [connection.info.backend_pid])
        with pytest.raises(TransientError, match="terminating connection"):
            applying.result()

    assert [row[0] for row in rows(target)] == [1]
    with pytest.raises(TransientError):
        sink.apply(second)  # a closed connection stays closed
    assert PostgresSink(connect(), "replica").apply(second) == Applied(already=False, rows=2)


def test_batch_is_written_whole_or_not_at_all(sink: PostgresSink, target: Target) -> None:
    sink.apply(batch(table([insert(1, "1", "x")])))
    target.execute("create view replica.holder as select 1")  # stands where a table has to

    with pytest.raises(TransientError, match="could not make the tables"):
        sink.apply(
            batch(table([insert(2, "2", "y")]), table([insert(3, "1", "z")], target="holder"), batch_id=2)
        )

    assert [row[0] for row in rows(target)] == [1]
    assert target.execute("select count(*) from replica.pgevents_applied_batch").fetchone() == (1,)


@pytest.mark.parametrize("type_", EXACT_VALUES)
def test_values_arrive_exactly_whatever_the_session_is_set_to(
    connect: Connect, target: Target, type_: str
) -> None:
    connection = connect()
    connection.execute(HOSTILE_SESSION)
    changes = [insert(n, str(n), value) for n, value in enumerate([*EXACT_VALUES[type_], None], 1)]

    PostgresSink(connection, "replica").apply(batch(table(changes, f"id bigint, value {type_}", mode="both")))

    target.execute(COPY_SESSION)
    for name in ("account", "account_history"):
        with target.cursor().copy(f"copy (select value from replica.{name} order by id) to stdout") as copied:
            copied.set_types(["text"])
            found = [row[0] for row in copied.rows()]
        assert found == [*EXACT_VALUES[type_], None]


def test_columns_have_the_types_of_the_source(sink: PostgresSink, target: Target) -> None:
    columns = "id uuid, tags text[], document jsonb, note character varying, code character, feeling mood"
    sink.apply(batch(table([insert(1, "0e37df36-f698-11e6-8dd4-cb9ced3df976", *[None] * 5)], columns)))

    names = [column.split()[0] for column in columns.split(", ")]
    assert [type_of(target, name) for name in names] == [
        "uuid", "text[]", "jsonb", "character varying", "bpchar", "text",
    ]  # fmt: skip
    assert type_of(target, "_version") == "bigint"


def test_types_of_the_targets_own_making_are_not_taken_for_the_sources(
    sink: PostgresSink, target: Target
) -> None:
    target.execute(
        "create schema replica; create type mood as enum ('sad'); create table address (street text)"
    )
    values = ["fine", "(High Street)"]
    sink.apply(batch(table([insert(1, "1", *values)], "id bigint, feeling mood, address address")))
    assert rows(target) == [(1, *values, 1)]


def test_new_columns_are_added_and_older_batches_still_fit(sink: PostgresSink, target: Target) -> None:
    sink.apply(batch(table([insert(1, "1", "x")], mode="both")))
    wider = "id bigint, name text, balance numeric, tags integer[]"
    sink.apply(batch(table([insert(3, "2", "y", "1.50", "{1}")], wider, mode="both"), batch_id=2))
    sink.apply(batch(table([insert(2, "3", "late")], mode="both"), batch_id=3))

    found = target.execute("select id, name, balance::text, tags from replica.account order by id").fetchall()
    assert found == [(1, "x", None, None), (2, "y", "1.50", [1]), (3, "late", None, None)]
    assert target.execute("select count(*), count(balance) from replica.account_history").fetchone() == (3, 1)


def test_target_twice_in_a_batch_is_one_target(sink: PostgresSink, target: Target) -> None:
    """A table that was altered within a window comes in two parts, with different columns."""
    parts = (
        table([insert(1, "1", "x")]),
        table([insert(2, "1", "y", "9")], "id bigint, name text, rank integer"),
    )
    assert sink.apply(batch(*parts)) == Applied(already=False, rows=2)
    assert target.execute("select id, name, rank, _version from replica.account").fetchall() == [
        (1, "y", 9, 2)
    ]


def test_table_of_the_users_own_is_taken_over(sink: PostgresSink, target: Target) -> None:
    target.execute("create schema replica")
    target.execute(
        "create table replica.account (name text, id bigint primary key, mine text default 'kept')"
    )
    target.execute("insert into replica.account values ('was here', 1), ('also', 2)")

    sink.apply(batch(table([insert(1, "1", "x"), insert(2, "3", "y"), delete(3, "2", None)])))

    found = target.execute("select id, name, mine, _version from replica.account order by id").fetchall()
    assert found == [(1, "x", "kept", 1), (3, "y", "kept", 2)]


def test_wider_column_of_the_target_takes_narrower_changes(sink: PostgresSink, target: Target) -> None:
    target.execute("create schema replica")
    target.execute(
        "create table replica.account (id numeric primary key, a text, b numeric, c double precision)"
    )
    columns = "id bigint, a jsonb, b integer, c real"
    sink.apply(batch(table([insert(1, "1", '{"a":  1}', "2", "0.5"), delete(2, "1", *[None] * 3)], columns)))
    sink.apply(batch(table([insert(3, "2", '{"a":  1}', "2", "0.5")], columns), batch_id=2))
    assert rows(target) == [(2, '{"a":  1}', 2, 0.5, 3)]


def test_column_that_could_lose_something_is_named_with_the_statement_that_helps(
    sink: PostgresSink, target: Target
) -> None:
    sink.apply(batch(table([insert(1, "1", "2026-11-22")], "id bigint, at date")))
    second = batch(
        table([insert(2, "1", "2026-11-22 15:04:05")], "id bigint, at timestamp without time zone"),
        batch_id=2,
    )

    with pytest.raises(TransientError, match="column at of replica.account is date") as raised:
        sink.apply(second)

    advice = str(raised.value).split("run: ")[1]
    for name in ("account",):
        target.execute(advice.replace("account", name))
    assert sink.apply(second) == Applied(already=False, rows=1)
    assert type_of(target, "at") == "timestamp without time zone"


def test_column_that_is_narrowed_behind_a_warm_sink_cuts_no_value(sink: PostgresSink, target: Target) -> None:
    columns = "id bigint, a numeric"
    sink.apply(batch(table([insert(1, "1", "1.5")], columns)))
    target.execute("alter table replica.account alter column a type numeric(10, 2)")

    with pytest.raises(RefusedChanges, match="does not fit numeric.10,2. without loss"):
        sink.apply(batch(table([insert(2, "2", "1.2345"), insert(3, "3", "2.5")], columns), batch_id=2))
    assert sink.apply(batch(table([insert(3, "3", "2.5")], columns), batch_id=2)).rows == 1
    assert target.execute("select id, a::text from replica.account order by id").fetchall() == [
        (1, "1.50"),
        (3, "2.50"),
    ]


def test_column_that_is_narrowed_once_more_cuts_no_value_either(sink: PostgresSink, target: Target) -> None:
    """The statement that looked for cuts was made for the wider column."""
    columns = "id bigint, a numeric"
    sink.apply(batch(table([insert(1, "1", "1.5")], columns)))
    target.execute("alter table replica.account alter column a type numeric(10, 3)")
    sink.apply(batch(table([insert(2, "2", "1.125")], columns), batch_id=2))
    target.execute("delete from replica.account")
    target.execute("alter table replica.account alter column a type numeric(10, 1)")

    with pytest.raises(RefusedChanges, match="does not fit numeric.10,1. without loss"):
        sink.apply(batch(table([insert(3, "3", "1.125")], columns), batch_id=3))


def test_table_that_vanished_is_made_anew(sink: PostgresSink, target: Target) -> None:
    sink.apply(batch(table([insert(1, "1", "x")])))
    target.execute("drop table replica.account")

    second = batch(table([insert(2, "2", "y")]), batch_id=2)
    with pytest.raises(TransientError, match="replica.account"):
        sink.apply(second)
    assert sink.apply(second) == Applied(already=False, rows=1)
    assert rows(target) == [(2, "y", 2)]


def test_sinks_that_meet_a_new_table_at_once_make_it_once(connect: Connect, target: Target) -> None:
    sinks = [PostgresSink(connect(), "replica") for _ in range(12)]
    start = threading.Barrier(len(sinks))

    def apply(number: int) -> Applied:
        columns = f"id bigint, name text, c{number % 3} integer"
        start.wait()
        return sinks[number].apply(
            batch(table([insert(number + 1, str(number), "x", "1")], columns, mode="both"), batch_id=number)
        )

    with ThreadPoolExecutor(len(sinks)) as bringers:
        assert list(bringers.map(apply, range(len(sinks)))) == [Applied(already=False, rows=2)] * len(sinks)
    assert target.execute("select count(*), count(c0), count(c2) from replica.account").fetchone() == (
        12,
        4,
        4,
    )


def test_keys_alone_are_a_table(sink: PostgresSink, target: Target) -> None:
    columns, key = "account bigint, holder bigint", ("account", "holder")
    changes = [insert(1, "1", "1"), insert(2, "1", "2"), delete(3, "1", "1"), insert(4, "1", "2")]
    sink.apply(batch(table(changes, columns, key, mode="both")))
    assert rows(target) == [(1, 2, 4)]
    assert len(rows(target, "account_history")) == 4


def test_truncation_is_in_the_history_and_leaves_it_alone(sink: PostgresSink, target: Target) -> None:
    sink.apply(batch(table([insert(1, "1", "x"), truncate(2), insert(3, "2", "y")], mode="both")))
    found = target.execute("select * from replica.account_history order by _version").fetchall()
    assert found == [(1, "x", "INSERT", 1), (None, None, "DELETE", 2), (2, "y", "INSERT", 3)]
    assert rows(target) == [(2, "y", 3)]


def test_history_alone_keeps_no_current_state(sink: PostgresSink, target: Target) -> None:
    sink.apply(batch(table([insert(1, "1", "x"), delete(2, "1", None)], mode="history")))
    names = target.execute(
        "select tablename from pg_tables where schemaname = 'replica' order by 1"
    ).fetchall()
    assert names == [("account_history",), ("pgevents_applied_batch",), ("pgevents_target",)]


@pytest.mark.parametrize(
    "name", ["select", "Mixed Case", 'quo"te', "100%", "%s", "{}", "naïve", "a.b", "'", "\\"]
)
def test_any_name_will_do(connect: Connect, target: Target, name: str) -> None:
    sink = PostgresSink(connect(), f"in {name}")
    changes = table(
        [insert(1, "1", "x"), delete(2, "2", None), truncate(3), insert(4, "3", "y")], mode="both"
    )
    columns = tuple(type(column)(f"{name} {column.name}", column.type) for column in changes.columns)
    odd = type(changes)(name, "both", changes.sinks, (f"{name} id",), columns, changes.changes)

    assert sink.apply(batch(odd)) == Applied(already=False, rows=5)

    identifier = psycopg.sql.Identifier(f"in {name}", name).as_string(target)
    assert target.execute(identifier.join(["select * from ", ""])).fetchall() == [(3, "y", 4)]


def test_four_hundred_columns_are_written(sink: PostgresSink, target: Target) -> None:
    columns = ", ".join(["id bigint", *(f"column_{number} text" for number in range(400))])
    sink.apply(batch(table([insert(n, str(n), *[f"{n}"] * 400) for n in range(1, 51)], columns)))
    assert target.execute("select count(*), min(column_399) from replica.account").fetchone() == (50, "1")


@pytest.mark.parametrize("autocommit", [True, False])
def test_connection_is_left_idle(database: str, autocommit: bool) -> None:
    with psycopg.connect(database, autocommit=autocommit) as connection:
        sink = PostgresSink(connection, "replica")
        sink.apply(batch(table([insert(1, "1", "x")])))
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_nothing_that_would_pin_a_connection_of_a_proxy_is_sent(connect: Connect) -> None:
    connection = connect()
    sink = PostgresSink(connection, "replica")
    sink.apply(batch(table([insert(1, "1", "x")], mode="both")))
    with tempfile.TemporaryFile() as trace:
        connection.pgconn.trace(trace.fileno())
        for number in range(2, 12):  # more often than psycopg needs to prepare a statement of its own accord
            first = number * 10
            changes = [truncate(first), insert(first + 1, "1", "x"), delete(first + 2, "2", None)]
            sink.apply(batch(table(changes, mode="both"), batch_id=number))
        connection.pgconn.untrace()
        trace.seek(0)
        sent = re.split(r"^\S+ \S+\t(?=[FB]\t)", trace.read().decode(), flags=re.MULTILINE)

    parsed = [message for message in sent if re.match(r"F\t\d+\tParse\t", message)]
    each = ["token", "locks", "shapes", "history", "its truncation", "watermark", "deletions", "insertions"]
    assert len(parsed) == 10 * len(each)
    assert all('Parse\t "" "' in message for message in parsed), "a statement was given a name"
    assert max(map(len, parsed)) < 16 * 1024
    pinning = r"\bset_config|^\W*set\b|\btemp|\bdeclare\b|\bprepare\b|\blisten\b|\bpg_advisory_lock|nextval"
    assert [message for message in sent if re.search(pinning, message, re.IGNORECASE | re.MULTILINE)] == []


def test_missing_privilege_is_named_with_what_to_grant(target: Target, database: str) -> None:
    target.execute("create role reader_only login; create schema replica")
    try:
        connection = psycopg.connect(database, user="reader_only", autocommit=True)
        with connection, pytest.raises(TransientError, match="permission denied.*grant the sink's user"):
            PostgresSink(connection, "replica").apply(batch(table([insert(1, "1", "x")])))
    finally:
        target.execute("drop role reader_only")


def test_target_without_its_key_is_named(sink: PostgresSink, target: Target) -> None:
    target.execute("create schema replica; create table replica.account (id bigint, name text)")
    with pytest.raises(TransientError, match=r"replica.account.*42P10.*primary key"):
        sink.apply(batch(table([insert(1, "1", "x")])))


@pytest.mark.parametrize(
    ("target_name", "columns", "complaint"),
    [
        ("x" * 54, "id bigint, name text", "too long"),
        ("account", "id bigint, _version text", "keeps for itself"),
    ],
)
def test_name_that_cannot_be_is_refused_with_advice(
    sink: PostgresSink, target_name: str, columns: str, complaint: str
) -> None:
    with pytest.raises(TransientError, match=complaint):
        sink.apply(batch(table([insert(1, "1", "x")], columns, target=target_name)))
