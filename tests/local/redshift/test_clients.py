"""The clients that people use: redshift_connector, psycopg, psql."""

import os
import subprocess
import threading
import warnings
from typing import Any

import psycopg
import pytest

from local.postgres import binaries
from redshift_writer.connect import load_driver
from tests.local.redshift.stand_in import Running


def connect_driver(stand_in: Running) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return load_driver().connect(
            host="127.0.0.1",
            port=stand_in.port,
            database=stand_in.database,
            user=stand_in.user,
            password="",
            ssl=False,
            application_name="test",
        )


def test_redshift_connector_reads_writes_and_sees_version_8(stand_in: Running) -> None:
    with connect_driver(stand_in) as connection, connection.cursor() as cursor:
        cursor.execute("create table t (a int, b varchar(20), c numeric(10, 2), d boolean, e super)")
        cursor.execute(
            "insert into t values (%s, %s, %s, %s, json_parse(%s))", (1, "é", 2.5, True, '{"a": 1}')
        )
        connection.commit()
        cursor.execute("select a, b, c::varchar, d, json_serialize(e) from t")
        assert list(cursor.fetchall()) == [[1, "é", "2.50", True, '{"a": 1}']]
        assert str(connection._server_version) == "8.0.2"


def test_redshift_connector_gets_refusals_and_keeps_its_connection(stand_in: Running) -> None:
    driver = load_driver()
    with connect_driver(stand_in) as connection, connection.cursor() as cursor:
        for sql in ("select 1 for update", "select %s::uuid"):
            with pytest.raises(driver.ProgrammingError):
                cursor.execute(sql, ("x",) if "%s" in sql else None)
            connection.rollback()
        cursor.execute("select 1")
        assert list(cursor.fetchall()) == [[1]]


def test_redshift_connector_lists_tables(stand_in: Running) -> None:
    with connect_driver(stand_in) as connection, connection.cursor() as cursor:
        cursor.execute("create table listed (a int)")
        connection.commit()
        cursor.execute("select table_name from svv_tables where table_schema = 'public'")
        assert list(cursor.fetchall()) == [["listed"]]


def psql(stand_in: Running, *commands: str) -> subprocess.CompletedProcess[str]:
    arguments = [argument for command in commands for argument in ("-c", command)]
    return subprocess.run(
        [str(binaries.program("psql")), "-X", "-A", "-t", stand_in.dsn, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PGCONNECT_TIMEOUT": "5"},
    )


def test_psql_describes_tables_and_views(stand_in: Running) -> None:
    made = psql(stand_in, "create table t (id bigint, name varchar(9))", "create view v as select id from t")
    assert made.stderr == ""
    assert "t|table" in psql(stand_in, r"\d").stdout
    described = psql(stand_in, r"\d t", r"\dv", r"\d+ v", r"\l", r"\dn", r"\df getdate")
    assert described.stderr == ""
    assert "name|character varying(9)" in described.stdout
    assert "v|view" in described.stdout


def test_psql_shows_refusals_in_redshifts_words(stand_in: Running) -> None:
    shown = psql(stand_in, "create index i on t (a)", "select 'it\\'s'")
    assert 'SQL command "CREATE INDEX" not supported on Redshift tables.' in shown.stderr
    assert shown.stdout == "it's\n"


def test_queries_of_a_catalog_browser_pass(client: psycopg.Connection) -> None:
    found = client.execute(
        "select rel.relname, array_agg(att.attname order by att.attnum), to_jsonb(rel.relkind) "
        "from pg_catalog.pg_class rel join pg_catalog.pg_attribute att on att.attrelid = rel.oid "
        "where rel.oid = 'pg_catalog.pg_class'::regclass and att.attnum between 1 and 2 "
        "group by 1, rel.relkind"
    ).fetchall()
    assert found == [("pg_class", ["oid", "relname"], "r")]


def test_refusal_inside_a_transaction_fails_the_transaction_as_any_error_does(stand_in: Running) -> None:
    with stand_in.connect() as client:
        client.execute("create table t (a int)")
        with pytest.raises(psycopg.errors.SyntaxError):
            client.execute("insert into t values (1) on conflict do nothing")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            client.execute("select 1")
        client.rollback()
        assert client.execute("select 1").fetchone() == (1,)


def test_one_refused_statement_of_a_message_keeps_all_of_them_from_running(
    stand_in: Running, client: psycopg.Connection
) -> None:
    with pytest.raises(psycopg.errors.SyntaxError):
        client.execute("create table t (a int); select 1 for update")
    assert stand_in.look("select to_regclass('public.t')") == [(None,)]


def test_error_position_is_left_out_when_the_text_was_rewritten(client: psycopg.Connection) -> None:
    with pytest.raises(psycopg.Error) as same:
        client.execute("select nowhere")
    with pytest.raises(psycopg.Error) as rewritten:
        client.execute("select nvl(1, 1), nowhere")
    assert (same.value.diag.statement_position, rewritten.value.diag.statement_position) == ("8", None)


def test_prepared_statements_and_large_results_pass(client: psycopg.Connection) -> None:
    for number in range(3):
        rows = client.execute(
            "select n::varchar, repeat('x', 99) from generate_series(%s, %s) n",
            [number, number + 50_000],
            prepare=True,
        ).fetchall()
        assert (len(rows), rows[0][0]) == (50_001, str(number))


def test_running_statement_can_be_cancelled(stand_in: Running) -> None:
    with stand_in.connect() as client:
        timer = threading.Timer(0.3, client.cancel)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            client.execute("select pg_sleep(30)")
        timer.join()


def test_writers_of_one_row_conflict_in_redshifts_words(stand_in: Running) -> None:
    with stand_in.connect() as first, stand_in.connect() as second:
        first.execute("create table t (a int, b int)")
        first.execute("insert into t values (1, 1)")
        first.commit()
        second.execute("select count(*) from t")
        first.execute("update t set b = 2 where a = 1")
        first.commit()
        with pytest.raises(psycopg.errors.InternalError_) as caught:
            second.execute("update t set b = 3 where a = 1")
        assert caught.value.diag.message_primary == (
            "could not complete because of conflict with concurrent transaction"
        )


def test_snapshot_is_kept_and_begins_after_the_lock(stand_in: Running) -> None:
    with stand_in.connect() as first, stand_in.connect() as second:
        first.execute("create table t (a int)")
        first.commit()
        second.execute("select count(*) from t")
        first.execute("insert into t values (1)")
        first.commit()
        assert second.execute("select count(*) from t").fetchone() == (0,)
        second.rollback()
        first.execute("lock t")
        first.execute("insert into t values (2)")
        waiting = threading.Timer(0.3, first.commit)
        waiting.start()
        assert second.execute("lock t; select count(*) from t").nextset()
        waiting.join()
        assert second.execute("select count(*) from t").fetchone() == (2,)
