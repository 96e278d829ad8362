"""The doorbell rings at the commit, once, when nobody is awake to hear; and what rings must not hurt."""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from random import Random
from typing import Any

import psycopg
import pytest

from local import aws_extensions
from tests.integration.db_triggers.captured import NAME, Captured
from transform.connections import SOURCE_SESSION
from transform.drain import Drain
from transform.source.outbox import Outbox

FREEZES = """
import sys, time, psycopg
connection = psycopg.connect(sys.argv[1], autocommit=True)
connection.execute(sys.argv[2])
connection.execute("set idle_session_timeout = '500ms'")
print(connection.execute("select pg_try_advisory_lock(1885828470, 0)").fetchone(), flush=True)
time.sleep(60)
"""


@pytest.fixture
def account(captured: Captured) -> Captured:
    captured.run("create table account (id int primary key, n int); create table entry (id int primary key)")
    captured.install("public.account", "public.entry", doorbell="notify")
    return captured


@pytest.fixture
def listener(account: Captured) -> psycopg.Connection[Any]:
    connection = account.connect()
    connection.execute("listen pgevents_doorbell")
    return connection


def rings(listener: psycopg.Connection[Any], timeout: float = 0.15) -> list[str]:
    """What the doorbell said since the last call."""
    return [notify.payload for notify in listener.notifies(timeout=timeout)]


def counted(captured: Captured) -> tuple[int, int]:
    """How often the doorbell has rung, and failed."""
    query = "select pg_sequence_last_value('pgevents.doorbell_rung'), pg_sequence_last_value('pgevents.doorbell_failed')"
    rung, failed = captured.run(query)[0]
    return rung, failed


def unmute(captured: Captured) -> None:
    captured.run("select setval('pgevents.doorbell_muted_until', 0)")


def test_a_transaction_rings_once_and_at_its_commit(
    account: Captured, listener: psycopg.Connection[Any]
) -> None:
    with account.app.transaction():
        account.run("insert into account select generate_series(1, 50); insert into entry values (1)")
        account.run("update account set n = 1; truncate entry")
        assert rings(listener) == []
        assert counted(account) == (0, 0)
    assert rings(listener) == [NAME]
    account.run("delete from account")
    assert rings(listener) == [NAME]
    assert counted(account) == (2, 0)


def test_a_statement_with_parameters_rings_as_any_other(
    account: Captured, listener: psycopg.Connection[Any]
) -> None:
    account.run("insert into account values (%s)", 1)
    assert rings(listener) == [NAME]


def test_nothing_captured_rings_nothing(account: Captured, listener: psycopg.Connection[Any]) -> None:
    account.run("update account set n = 1; create table other (id int); insert into other values (1)")
    with account.app.transaction(force_rollback=True):
        account.run("insert into account values (1)")
    assert rings(listener) == []


def test_savepoints_leave_one_ring_or_none(account: Captured, listener: psycopg.Connection[Any]) -> None:
    with account.app.transaction():
        with account.app.transaction(force_rollback=True):
            account.run("insert into account values (1)")
        account.run("insert into account values (2)")
        with account.app.transaction(force_rollback=True):
            account.run("insert into account values (3)")
    assert rings(listener) == [NAME]
    with account.app.transaction(), account.app.transaction(force_rollback=True):
        account.run("insert into account values (4)")
    assert rings(listener) == []
    with account.app.transaction():
        with account.app.transaction():
            account.run("insert into account values (5)")
        with account.app.transaction(force_rollback=True):
            account.run("insert into account values (6)")
    assert rings(listener) == [NAME]


def test_a_replication_role_does_not_silence_it(account: Captured, listener: psycopg.Connection[Any]) -> None:
    account.run("set session_replication_role = replica; insert into account values (1)")
    assert rings(listener) == [NAME]


def test_it_is_silent_while_a_drain_is_awake(account: Captured, listener: psycopg.Connection[Any]) -> None:
    assert account.outbox.try_lock()
    account.run("insert into account values (1)")
    assert rings(listener) == []
    account.outbox.unlock()
    account.run("insert into account values (2)")
    assert rings(listener) == [NAME]
    assert counted(account) == (1, 0)


def test_constraints_set_immediate_ring_early_and_lose_no_event(
    account: Captured, listener: psycopg.Connection[Any]
) -> None:
    with account.app.transaction():
        account.run("set constraints all immediate; insert into account values (1)")
    assert rings(listener) == [NAME]
    assert account.differences() == []


def test_a_drain_whose_session_ends_leaves_no_lock(account: Captured) -> None:
    frozen = account.lambda_connection()
    assert Outbox(NAME, frozen).try_lock()
    assert not account.outbox.try_lock()
    account.run("select pg_terminate_backend(%s, 5000)", frozen.info.backend_pid)
    assert account.outbox.try_lock()


def test_a_drain_that_was_stopped_loses_its_lock_when_it_has_been_silent_for_too_long(
    account: Captured,
) -> None:
    program = [sys.executable, "-c", FREEZES, account.dsn, SOURCE_SESSION]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as client:
        try:
            assert client.stdout is not None
            assert client.stdout.readline() == "(True,)\n"
            client.send_signal(signal.SIGSTOP)
            assert not account.outbox.try_lock()
            until = time.monotonic() + 10
            while not (locked := account.outbox.try_lock()) and time.monotonic() < until:
                time.sleep(0.05)
            assert locked
        finally:
            client.kill()


def test_the_lambdas_session_ends_by_itself_when_it_is_silent(account: Captured) -> None:
    shown = account.reader.execute(
        "select current_setting('idle_session_timeout'), current_setting('datestyle')"
    )
    assert shown.fetchone() == ("1min", "ISO, MDY")


def test_the_lambdas_session_compiles_nothing(account: Captured) -> None:
    assert account.reader.execute("show jit").fetchone() == ("off",)


def test_a_moment_of_a_writer_at_the_lock_is_not_taken_for_a_drain(account: Captured) -> None:
    with ThreadPoolExecutor() as threads, account.connect() as writer:
        writer.execute("select pg_advisory_lock_shared(1885828470, 0)")
        locking = threads.submit(account.outbox.try_lock)
        writer.execute("select pg_advisory_unlock_shared(1885828470, 0)")
        assert locking.result()


class WithoutLastLook(Drain):
    """What the drain would be if it ended where it finds nothing left."""

    def _left_behind(self) -> bool:
        return False


@pytest.mark.parametrize("kind", [Drain, WithoutLastLook])
def test_a_commit_between_the_last_look_and_the_end_of_a_drain_is_not_left_lying(
    account: Captured, listener: psycopg.Connection[Any], kind: type[Drain]
) -> None:
    """drain: awake, finds nothing | writer: finds the lock taken, does not ring | drain: lets go of the lock |
    writer: commits. Without its last look the drain ends with the event unseen, and nobody was rung."""
    gate = hold_commits_with_a(account, "stop")
    write = "begin; insert into account values (1); insert into stop values (1); commit"
    with ThreadPoolExecutor() as threads, account.connect() as writer:
        drain = Interrupted(account, kind)
        drain.before_unlock = lambda: drain.hold(threads.submit(writer.execute, write), writer)
        drain.after_unlock = lambda: threads.submit(open_later, gate)
        drain.run()
        writer.execute("select 1")
    assert rings(listener) == []
    assert account.reader.execute("select pgevents.has_events()").fetchone() == (kind is WithoutLastLook,)
    assert len(account.model.rows.get("t0", {})) == (kind is Drain)


def hold_commits_with_a(captured: Captured, table: str) -> psycopg.Connection[Any]:
    """Makes a table; a transaction that wrote into it last waits at its commit, after its doorbell, until the
    connection gives lock 42 back."""
    captured.run(
        f"create table {table} (id int); create function hold() returns trigger language plpgsql as"
        " $$ begin perform pg_advisory_xact_lock_shared(42); return null; end $$;"
        f" create constraint trigger hold after insert on {table} deferrable initially deferred for each row"
        " execute function hold()"
    )
    gate = captured.connect()
    gate.execute("select pg_advisory_lock(42)")
    return gate


def open_later(gate: psycopg.Connection[Any]) -> None:
    """Long after a drain that does not wait has had its look, and long before one gives up waiting."""
    time.sleep(0.3)
    gate.execute("select pg_advisory_unlock(42)")


class Interrupted:
    """A drain that does something just before and just after it lets go of the lock, the first time."""

    def __init__(self, captured: Captured, kind: type[Drain]) -> None:
        self._captured = captured
        self._drain = captured.new_drain(self, kind=kind)  # type: ignore[arg-type]
        self._unlocked = False
        self.before_unlock: Any = None
        self.after_unlock: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._captured.outbox, name)

    def run(self) -> None:
        self._drain.run()

    def hold(self, _: Future[Any], writer: psycopg.Connection[Any]) -> None:
        waiting = "select wait_event from pg_stat_activity where pid = %s"
        while self._captured.run(waiting, writer.info.backend_pid) != [("advisory",)]:
            time.sleep(0.005)

    def unlock(self) -> None:
        first, self._unlocked = not self._unlocked, True
        if first:
            self.before_unlock()
        self._captured.outbox.unlock()
        if first:
            self.after_unlock()


class LambdaService:
    """One that takes connections and says nothing, that knows no function, or that is not there."""

    def __init__(self, answer: str) -> None:
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> str:
        port = self._socket.getsockname()[1]
        if self._answer == "nobody listens":
            self._socket.close()
        elif self._answer == "no such function":
            threading.Thread(target=self._refuse, daemon=True).start()
        return f"http://127.0.0.1:{port}"

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _refuse(self) -> None:
        body = b'{"Type": "User", "Message": "Function not found"}'
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                connection.recv(65_536)
                head = f"HTTP/1.1 404 Not Found\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall(head.encode() + body)
                connection.close()


class TestInvoke:
    """The transport that calls AWS from within the database, against the local stand-in of its extension."""

    @pytest.fixture
    def account(self, captured: Captured) -> Captured:
        aws_extensions.install(captured.app, "http://127.0.0.1:9")
        captured.run("create table account (id int primary key, n int)")
        captured.install("public.account", doorbell="invoke")
        return captured

    def seconds(self, captured: Captured, statement: str) -> float:
        started = time.monotonic()
        captured.run(statement)
        return time.monotonic() - started

    @pytest.mark.parametrize("fault", ["error", "hang", "missing"])
    def test_a_lambda_service_that_fails_costs_one_write_its_time_out_and_none_its_commit(
        self, account: Captured, fault: aws_extensions.Fault
    ) -> None:
        aws_extensions.inject(account.app, fault)
        assert self.seconds(account, "insert into account values (1)") < 3
        assert self.seconds(account, "insert into account values (2)") < 1
        assert counted(account) == (1, 1)
        unmute(account)
        account.run("insert into account values (3)")
        assert counted(account) == (2, 2)
        assert account.differences() == []

    @pytest.mark.parametrize("answer", ["nothing", "no such function", "nobody listens"])
    def test_a_lambda_service_that_really_fails_costs_one_write_its_time_out(
        self, account: Captured, answer: str
    ) -> None:
        with LambdaService(answer) as url:
            aws_extensions.install(account.app, url)
            assert self.seconds(account, "insert into account values (1)") < 3
            others = [self.seconds(account, f"insert into account values ({id})") for id in range(2, 40)]
        assert max(others) < 1
        assert counted(account) == (1, 1)
        assert account.differences() == []

    def test_of_many_sessions_that_commit_while_it_hangs_one_waits(self, account: Captured) -> None:
        """The others find it being rung, for a moment or two more of them may not."""
        aws_extensions.inject(account.app, "hang")
        writers = [account.connect() for _ in range(16)]

        def write(number: int) -> None:
            writers[number].execute("insert into account values (%s)", (number,))

        with ThreadPoolExecutor(16) as threads:
            list(threads.map(write, range(16)))
        rung, _ = counted(account)
        assert 1 <= rung < 16
        assert account.differences() == []

    @pytest.mark.parametrize("constraints", ["deferred", "immediate"])
    def test_a_statement_time_out_shorter_than_the_doorbells_costs_no_write_its_commit(
        self, account: Captured, constraints: str
    ) -> None:
        aws_extensions.inject(account.app, "hang")
        account.run("set statement_timeout = '200ms'; set lock_timeout = '100ms'")
        with account.app.transaction():
            account.run(f"set constraints all {constraints}")
            account.run("insert into account values (1)")
        assert counted(account) == (1, 1)
        assert account.app.execute("show lock_timeout").fetchone() == ("100ms",)
        assert account.differences() == []

    @pytest.mark.parametrize("table", ["setting", "paused"])
    def test_a_table_of_the_doorbell_that_somebody_has_locked_costs_one_write_half_a_second(
        self, account: Captured, table: str
    ) -> None:
        with account.connect() as other, other.transaction():
            other.execute(f"lock table pgevents.{table} in access exclusive mode".encode())
            assert self.seconds(account, "insert into account values (1)") < 1.5
            assert self.seconds(account, "insert into account values (2)") < 1
        assert counted(account)[1] == 1
        assert account.differences() == []

    def test_a_role_with_no_right_but_that_on_its_table_commits_too(self, account: Captured) -> None:
        aws_extensions.inject(account.app, "error")
        account.run("create role nobody_much; grant insert on account to nobody_much")
        try:
            account.run("set role nobody_much; insert into account values (1); reset role")
        finally:
            account.run("reset role; drop owned by nobody_much; drop role nobody_much")
        assert counted(account) == (1, 1)
        assert account.differences() == []

    def test_a_clock_that_is_set_back_an_hour_does_not_silence_it_for_an_hour(
        self, account: Captured
    ) -> None:
        """As it looks afterwards: what was noted lies an hour ahead."""
        account.run(
            "select setval('pgevents.doorbell_muted_until', extract(epoch from now())::bigint + 3630)"
        )
        aws_extensions.inject(account.app, "error")
        account.run("insert into account values (1)")
        assert counted(account) == (1, 1)

    def test_an_extension_that_was_dropped_costs_no_write_its_commit(self, account: Captured) -> None:
        aws_extensions.uninstall(account.app)
        account.run("insert into account values (1)")
        assert counted(account) == (1, 1)
        assert account.differences() == []

    def test_a_cancel_request_while_it_rings_costs_no_write_its_commit(self, account: Captured) -> None:
        aws_extensions.inject(account.app, "hang")
        with account.connect() as writer, ThreadPoolExecutor() as threads:
            writing = threads.submit(writer.execute, "insert into account values (1)")
            waiting = "select wait_event from pg_stat_activity where pid = %s"
            while account.run(waiting, writer.info.backend_pid) != [("PgSleep",)]:
                time.sleep(0.01)
            writer.cancel_safe()
            writing.result(0.5)
        assert counted(account) == (1, 1)
        assert account.differences() == []

    def test_what_it_sends_names_the_function_and_the_source(self, captured: Captured) -> None:
        captured.run(
            "create schema aws_lambda; create table aws_lambda.asked (function_name text, payload json, region text, kind text);"
            " create function aws_lambda.invoke(text, json, text, text) returns void language sql as"
            " 'insert into aws_lambda.asked values ($1, $2, $3, $4)'"
        )
        captured.run("create table account (id int primary key)")
        captured.install("public.account", doorbell="invoke")
        captured.run("insert into account values (1)")
        asked = [("transform", {"kind": "doorbell", "source": NAME}, "eu-west-1", "Event")]
        assert captured.run("select * from aws_lambda.asked") == asked


def test_a_full_queue_of_notifications_silences_it_and_fails_no_commit(account: Captured) -> None:
    account.run(
        "create schema fake; create function fake.usage() returns float8 language sql as 'select 0.9::float8';"
        " alter function pgevents.send_wake(pgevents.setting) set search_path = fake, pg_catalog, pg_temp"
    )
    source = account.run("select pg_get_functiondef('pgevents.send_wake(pgevents.setting)'::regprocedure)")[
        0
    ][0]
    account.run(source.replace("pg_notification_queue_usage()", "fake.usage()"))
    listener = account.connect()
    listener.execute("listen pgevents_doorbell")
    account.run("insert into account values (1)")
    assert rings(listener) == []
    assert account.differences() == []


def test_a_commit_that_is_cancelled_leaves_no_lock_with_its_session(account: Captured) -> None:
    """A lock of the drain's, left with a session of the application's pool, would keep every drain away."""
    ended = threading.Event()
    process, canceller = account.app.info.backend_pid, account.connect()

    def cancel() -> None:
        chosen = Random(1)
        while not ended.wait(chosen.random() * 0.003):
            canceller.execute("select pg_cancel_backend(%s)", (process,))

    def commit(number: int) -> bool:
        """Whether it was cancelled."""
        try:
            account.run("begin")
            account.run("insert into account values (%s, 0)", number)
            account.run("commit")
        except psycopg.errors.QueryCanceled:
            with contextlib.suppress(psycopg.errors.QueryCanceled):
                account.run("rollback")
            return True
        return False

    until = time.monotonic() + 6
    with ThreadPoolExecutor(1) as threads:
        cancelling = threads.submit(cancel)
        cancelled = 0
        while time.monotonic() < until:
            cancelled += commit(cancelled + int(time.monotonic() * 1e6) % 10**9)
        ended.set()
        cancelling.result()
    assert cancelled > 50
    held = "select count(*) from pg_locks where locktype = 'advisory' and classid = 1885828470 and objid = 0"
    assert account.reader.execute(held).fetchone() == (0,)
