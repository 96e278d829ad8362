"""The outbox gives its space back while writers go on, and lets go of nothing that is not applied."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.integration.db_triggers.captured import Captured
from tests.integration.db_triggers.conftest import slow
from transform.source import outbox as transform_outbox

EVERYTHING = 1


@pytest.fixture
def account(captured: Captured) -> Captured:
    captured.run("create table account (id int primary key, name text)")
    captured.install("public.account")
    return captured


def rotate(captured: Captured, full_bytes: int = EVERYTHING) -> None:
    captured.reader.execute("select pgevents.rotate_outbox(%s)", (full_bytes,))


def written_half(captured: Captured) -> int:
    return int(captured.run("select pg_sequence_last_value('pgevents.outbox_half')")[0][0])


def rows_in(captured: Captured, half: int) -> int:
    return int(captured.run(f"select count(*) from pgevents.outbox_1_{half}")[0][0])


def outbox_bytes(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(
        "select sum(pg_total_relation_size(oid))::bigint from pg_class"
        " where relnamespace = 'pgevents'::regnamespace and relname like 'outbox\\_%\\_%' and relkind = 'r'"
    ).fetchone()
    assert row is not None
    return int(row[0])


def wait_until_blocked(captured: Captured, connection: psycopg.Connection[Any]) -> None:
    """Waits until a connection's statement waits for a lock."""
    pid = connection.info.backend_pid
    for _ in range(500):
        if captured.run("select cardinality(pg_blocking_pids(%s)) > 0", pid) == [(True,)]:
            return
        time.sleep(0.01)
    raise AssertionError("the statement never came to wait")


def test_applied_events_give_their_space_back(account: Captured) -> None:
    account.run("insert into account select g, repeat(md5(g::text), 30) from generate_series(1, 2000) as g")
    full = outbox_bytes(account.app)
    account.drain()
    rotate(account)
    assert written_half(account) == 1
    rotate(account)
    assert rows_in(account, 0) == 0
    assert outbox_bytes(account.app) < full / 10
    account.run("delete from account")
    assert account.differences() == []


def test_values_that_are_stored_apart_fill_a_half_too(account: Captured) -> None:
    account.run(
        "insert into account select 1, string_agg(md5(g::text), '') from generate_series(1, 40000) as g"
    )
    assert outbox_bytes(account.app) > 1_000_000
    account.drain()
    for _ in range(2):
        rotate(account, full_bytes=1_000_000)
    assert outbox_bytes(account.app) < 100_000


def test_events_that_are_not_applied_keep_their_half(account: Captured) -> None:
    account.run("insert into account values (1)")
    account.outbox.open_batches(10)
    rotate(account)
    for _ in range(3):
        rotate(account)
        account.run("insert into account select max(id) + 1 from account")
    assert rows_in(account, 0) + rows_in(account, 1) == 4
    assert rows_in(account, 0) == 1
    assert account.differences() == []


def test_the_halves_change_over_only_once_the_written_one_is_full(account: Captured) -> None:
    account.run("insert into account values (1)")
    account.drain()
    rotate(account, full_bytes=1_000_000)
    assert written_half(account) == 0


def test_an_outbox_left_behind_by_a_rollback_is_emptied_too(account: Captured) -> None:
    with account.app.transaction(force_rollback=True):
        account.run("insert into account select generate_series(1, 100)")
    rotate(account)
    rotate(account)
    assert account.run("select * from pgevents.pending_outboxes()") == []


def test_a_writer_that_chose_the_old_half_before_the_change_over_loses_nothing(account: Captured) -> None:
    """writer: reads that half 0 is written | drain: changes over to half 1, twice empties what it can |
    writer: inserts into half 0, commits | drain: finds it."""
    gate, writer = account.connect(), account.connect()
    account.run("insert into account values (1)")
    account.drain()
    gate.execute("begin")
    gate.execute("lock table pgevents.outbox_1_0 in exclusive mode")
    with ThreadPoolExecutor() as threads:
        late: Future[Any] = threads.submit(writer.execute, "insert into account values (2)")
        wait_until_blocked(account, writer)
        rotate(account)
        assert written_half(account) == 1
        rotate(account)
        account.run("insert into account values (3)")
        gate.execute("commit")
        late.result()
    assert [rows_in(account, half) for half in (0, 1)] == [2, 1]
    rotate(account)
    assert rows_in(account, 0) == 2
    assert account.differences() == []
    rotate(account)
    assert rows_in(account, 0) == 0


def test_a_transaction_that_is_still_open_in_the_old_half_loses_nothing(account: Captured) -> None:
    writer = account.connect()
    account.run("insert into account values (1)")
    with writer.transaction():
        writer.execute("insert into account values (2)")
        account.drain()
        rotate(account)
        assert written_half(account) == 1
        rotate(account)
        writer.execute("insert into account values (3)")
        account.drain()
        rotate(account)
    assert [rows_in(account, half) for half in (0, 1)] == [2, 1]
    assert account.differences() == []
    rotate(account)
    assert rows_in(account, 0) == 0


def test_a_rotation_waits_for_no_lock(account: Captured) -> None:
    account.run("insert into account values (1)")
    account.drain()
    rotate(account)
    for mode in ("access share", "row exclusive", "exclusive"):
        with account.connect() as other, other.transaction():
            other.execute(f"lock table pgevents.outbox_1_0 in {mode} mode".encode())
            account.reader.execute("set lock_timeout = '1ms'")
            rotate(account)
            account.reader.execute("reset lock_timeout")
            assert rows_in(account, 0) == 1
    rotate(account)
    assert rows_in(account, 0) == 0


def test_a_batch_that_is_being_read_keeps_its_half(account: Captured) -> None:
    account.run("insert into account select g, repeat('x', 1000) from generate_series(1, 5000) as g")
    account.outbox.open_batches(10_000)
    (query,) = account.run("select query from pgevents.batch_queries(1, true)")
    with account.connect().cursor().copy(f"copy ({query[0]}) to stdout".encode()) as copy:
        next(iter(copy))
        account.drain()
        rotate(account)
        rotate(account)
        assert rows_in(account, 0) == 5_000
        assert sum(1 for _ in copy) == 4_999


def grow(captured: Captured, seconds: float) -> tuple[int, int, int]:
    """Beside one drain that never comes to an end: the outbox's largest size in the first and in the second half
    of the time, and the bytes of all events written."""
    done = threading.Event()

    def write(number: int) -> int:
        count = 0
        with captured.connect() as connection:
            while not done.wait(0.01):
                count += 20
                connection.execute(
                    "insert into account select %s + g, repeat('x', 500) from generate_series(1, 20) as g",
                    (number * 10_000_000 + count,),
                )
        return count * 550

    def watch() -> tuple[int, int]:
        largest = [0, 0]
        started = time.monotonic()
        with captured.lambda_connection() as connection:
            while not done.wait(0.02):
                half = time.monotonic() - started > seconds / 2
                largest[half] = max(largest[half], outbox_bytes(connection))
        return largest[0], largest[1]

    with ThreadPoolExecutor() as threads:
        writers = [threads.submit(write, number) for number in range(2)]
        watcher = threads.submit(watch)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            captured.drain(until - time.monotonic())
        done.set()
    return *watcher.result(), sum(writer.result() for writer in writers)


def test_the_outbox_does_not_grow_under_a_steady_load(
    account: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transform_outbox, "_HALF_FULL_BYTES", 64 * 1024)
    monkeypatch.setattr(transform_outbox, "_ROTATE_SECONDS", 0.25)
    first, second, written = grow(account, 4)
    assert account.differences() == []
    assert max(first, second) < written / 3


@slow
def test_the_outbox_does_not_grow_in_two_minutes(account: Captured) -> None:
    first, second, written = grow(account, 120)
    assert account.differences() == []
    assert second < 1.5 * first
    assert second < written / 3
