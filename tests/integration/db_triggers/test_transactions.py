"""What commits is captured, once; what does not, is not; and capture is no reason for a transaction to fail."""

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.integration.db_triggers.captured import Captured


@pytest.fixture
def account(captured: Captured) -> Captured:
    captured.run("create table account (id int primary key, n int not null default 0)")
    captured.install("public.account")
    return captured


def test_a_transaction_rolled_back_is_no_event(account: Captured) -> None:
    with account.app.transaction(force_rollback=True):
        account.run("insert into account values (1); update account set n = 2; truncate account")
    assert account.events() == []


def test_a_savepoint_rolled_back_takes_its_events_along(account: Captured) -> None:
    with account.app.transaction():
        account.run("insert into account values (1)")
        with account.app.transaction(force_rollback=True):
            account.run("insert into account values (2); delete from account where id = 1")
        with account.app.transaction():
            account.run("insert into account values (3)")
    events = account.events()
    assert [event.after["id"] for event in events] == ["1", "3"]
    assert len({event.transaction_id for event in events}) == 1
    assert account.differences() == []


def test_an_error_in_a_function_that_catches_it_takes_its_events_along(account: Captured) -> None:
    account.run(
        "do $$ begin insert into account values (1);"
        " begin insert into account values (2); insert into account values (1); exception when unique_violation"
        " then insert into account values (3); end; update account set n = 1; end $$"
    )
    assert account.differences() == []


def test_a_procedure_that_commits_on_its_way_is_captured_up_to_where_it_came(account: Captured) -> None:
    account.run(
        "create procedure fill() language plpgsql as $$ begin for i in 1..4 loop insert into account values (i);"
        " update account set n = n + 1; if i = 3 then rollback; else commit; end if; end loop; end $$"
    )
    account.run("call fill()")
    assert account.differences() == []


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_strict_isolation_levels_are_captured_alike(account: Captured, isolation: str) -> None:
    account.run(f"begin isolation level {isolation}; insert into account values (1), (2)")
    account.run("update account set n = 1; delete from account where id = 2; commit")
    assert account.operations() == ["I", "I", "U", "U", "D"]
    assert account.differences() == []


def serialization_failures(account: Captured, with_settling: bool) -> int:
    """Of 8 writers in serializable transactions, each on rows of its own; the transactions are repeated until done."""
    failures = 0
    together = threading.Barrier(8)

    def write(number: int) -> None:
        nonlocal failures
        with account.connect() as connection:
            connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
            together.wait()
            for _ in range(25):
                try:
                    with connection.transaction():
                        connection.execute("select n from account where id = %s", (number,))
                        connection.execute("update account set n = n + 1 where id = %s", (number,))
                        if with_settling:
                            connection.execute("select twice(%s)", (number,))
                except psycopg.errors.SerializationFailure:
                    failures += 1

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(0, 8_000, 1_000)))
    return failures


@pytest.mark.parametrize("with_settling", [False, True], ids=["one statement", "several in a function"])
def test_capture_makes_no_serializable_transaction_fail(account: Captured, with_settling: bool) -> None:
    account.run(
        "create function twice(row_id int) returns void language plpgsql as $$ begin"
        " update account set n = n + 1 where id = row_id; update account set n = n + 1 where id = row_id; end $$"
    )
    account.run("insert into account select g from generate_series(0, 8000) as g; analyze account")
    account.drain()
    failed_with_capture = serialization_failures(account, with_settling)
    assert account.differences() == []
    account.install()
    assert failed_with_capture <= serialization_failures(account, with_settling)


def test_a_session_in_the_role_of_a_replica_is_captured(account: Captured) -> None:
    account.run(
        "set session_replication_role = replica; insert into account values (1); update account set n = 1"
    )
    account.run("truncate account; insert into account values (2)")
    assert account.operations() == ["I", "U", "T", "I"]


@pytest.mark.parametrize("outcome", ["commit", "rollback"])
@pytest.mark.parametrize("doorbell", ["schedule", "notify", "invoke"])
def test_a_prepared_transaction_is_captured_when_it_is_committed(
    captured: Captured, doorbell: str, outcome: str
) -> None:
    captured.run("create table account (id int primary key, n int)")
    captured.run(
        "create schema aws_lambda; create table aws_lambda.asked (payload json);"
        " create function aws_lambda.invoke(text, json, text, text) returns void language sql as"
        " 'insert into aws_lambda.asked values ($2)'"
    )
    captured.install("public.account", doorbell=doorbell)  # type: ignore[arg-type]
    captured.run(
        "begin; insert into account values (1); update account set n = 1; prepare transaction 'two phases'"
    )
    assert captured.events() == []
    captured.run("insert into account values (2)")
    captured.drain()
    captured.run(f"{outcome} prepared 'two phases'")
    assert captured.differences() == []
    assert len(captured.table_rows("public.account")) == (2 if outcome == "commit" else 1)
    assert captured.run("select pg_sequence_last_value('pgevents.doorbell_failed')") == [(0,)]


def test_row_level_security_hides_nothing_from_capture(account: Captured) -> None:
    account.run(
        "create policy own on account using (id = 1); alter table account enable row level security;"
        " grant all on account to public; create role clerk; set role clerk"
    )
    account.run("insert into account values (1); update account set n = 5; delete from account; reset role")
    account.run("revoke all on account from public; drop role clerk")
    assert account.operations() == ["I", "U", "D"]


def test_a_cursor_a_prepared_statement_and_a_pipeline_are_captured(account: Captured) -> None:
    account.run("insert into account select g from generate_series(1, 5) as g")
    with account.app.transaction():
        account.run("declare c cursor for select id from account for update; fetch 2 from c")
        account.run("update account set n = 7 where current of c")
    account.run(
        "prepare change (int) as update account set n = $1 where id < 4; execute change (1); execute change (2)"
    )
    with account.app.pipeline():
        for number in range(6, 20):
            account.app.execute("insert into account values (%s)", (number,))
            account.app.execute("delete from account where id = %s", (number - 5,))
    assert account.differences() == []
