"""A drain that ends waits for whoever is about to commit, for nobody else, and leaves no event unseen."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from typing import Any

import psycopg
import pytest

from local.postgres import PostgresServer
from tests.integration.db_triggers.captured import NAME, Captured
from tests.integration.db_triggers.conftest import slow
from transform import drain
from transform.source.last_look import Committing
from transform.source.outbox import Outbox

RING_WITHOUT_ITS_LOCK = """
create or replace function pgevents.ring() returns trigger language plpgsql security definer as $$
begin
    if pg_catalog.pg_try_advisory_lock_shared(1885828470, 0) then
        perform pg_catalog.pg_advisory_unlock_shared(1885828470, 0);
        perform pgevents.wake_drain();
    end if;
    return null;
end
$$
"""


@pytest.fixture
def account(captured: Captured) -> Captured:
    captured.run("create table account (id int primary key, n int not null default 0)")
    captured.install("public.account", doorbell="notify")
    return captured


@pytest.fixture
def listener(account: Captured) -> psycopg.Connection[Any]:
    connection = account.connect()
    connection.execute("listen pgevents_doorbell")
    return connection


def rings(listener: psycopg.Connection[Any], timeout: float = 0.15) -> list[str]:
    """What the doorbell said since the last call."""
    return [notify.payload for notify in listener.notifies(timeout=timeout)]


def committing(captured: Captured) -> list[Committing]:
    return [Committing(*row) for row in captured.run("select * from pgevents.committing()")]


def waited(captured: Captured, most: float = 60.0) -> float:
    """How long the last look of a drain waits."""
    started = time.monotonic()
    captured.outbox.wait_for_commits(lambda: time.monotonic() > started + most)
    return time.monotonic() - started


def in_the_background(work: Callable[[], object], after: float = 0.0) -> threading.Thread:
    def later() -> None:
        time.sleep(after)
        work()

    thread = threading.Thread(target=later)
    thread.start()
    return thread


@contextmanager
def rung(connection: psycopg.Connection[Any], statement: str) -> Iterator[None]:
    """A transaction that has rung and goes on for the length of the block."""
    with connection.transaction():
        connection.execute("set constraints all immediate")
        connection.execute(statement.encode())
        yield


def test_a_transaction_that_runs_and_has_not_rung_is_not_waited_for(
    account: Captured, listener: psycopg.Connection[Any]
) -> None:
    """drain: lets go | writer: has written, runs on | drain: ends | writer: finds the lock free, rings."""
    with account.connect() as writer, writer.transaction():
        writer.execute("insert into account values (1)")
        account.drain()
        assert waited(account) < 2
    assert rings(listener) == [NAME]
    assert account.differences() == []


def test_one_that_has_rung_is_waited_for_until_it_ends(account: Captured) -> None:
    with account.connect() as writer, rung(writer, "insert into account values (1)"):
        assert [each.session for each in committing(account)] == [writer.info.backend_pid]
        assert 0.3 < waited(account, 0.3) < 2.5
    assert committing(account) == []
    assert waited(account) < 2


def test_one_that_rings_after_the_drain_has_let_go_is_left_to_its_own_ring(account: Captured) -> None:
    """Or under a steady load a drain would wait for ever."""
    looks: list[float] = []
    with account.connect() as first, account.connect() as second:
        with rung(first, "insert into account values (1)"):
            looking = in_the_background(lambda: looks.append(waited(account)))
            time.sleep(0.3)
            second.execute("begin; set constraints all immediate; insert into account values (2)")
            assert looks == []
        looking.join(5)
        assert len(looks) == 1
        assert [each.session for each in committing(account)] == [second.info.backend_pid]
        second.execute("commit")


def test_a_savepoint_that_is_rolled_back_takes_its_ring_along(
    account: Captured, listener: psycopg.Connection[Any]
) -> None:
    with account.connect() as writer, writer.transaction():
        with writer.transaction(force_rollback=True):
            writer.execute("set constraints all immediate; insert into account values (1)")
            assert len(committing(account)) == 1
        assert committing(account) == []
        writer.execute("set constraints all immediate; insert into account values (2)")
        assert len(committing(account)) == 1
        with writer.transaction(force_rollback=True):
            writer.execute("insert into account values (3)")
        with writer.transaction():
            writer.execute("insert into account values (4)")
        assert len(committing(account)) == 1
    assert committing(account) == []
    assert rings(listener) == [NAME]
    assert account.differences() == []


def test_a_prepared_one_is_waited_for_for_three_seconds(account: Captured) -> None:
    account.run("update pgevents.setting set doorbell = 'schedule'")
    account.run("begin; insert into account values (1); prepare transaction 'one'")
    assert [each.prepared for each in committing(account)] == [True]
    assert 3 < waited(account) < 10
    account.run("commit prepared 'one'")
    account.run("begin; insert into account values (2); prepare transaction 'two'")
    committer = in_the_background(lambda: account.run("commit prepared 'two'"), after=0.5)
    assert 0.4 < waited(account) < 2.9
    committer.join()
    assert committing(account) == []
    assert account.differences() == []


def test_one_that_is_prepared_while_it_is_waited_for_goes_on_being_waited_for(account: Captured) -> None:
    account.run("update pgevents.setting set doorbell = 'schedule'")
    writer = account.connect()
    writer.execute("begin; set constraints all immediate; insert into account values (1)")

    def prepare_and_commit() -> None:
        time.sleep(0.3)
        writer.execute("prepare transaction 'late'")
        time.sleep(0.7)
        writer.execute("commit prepared 'late'")

    preparing = in_the_background(prepare_and_commit)
    assert 0.9 < waited(account) < 2.9
    preparing.join()
    assert account.differences() == []


def test_a_drain_that_waits_leaves_as_soon_as_another_one_is_awake(account: Captured) -> None:
    """The other one will look at the same transactions when it ends."""
    other = Outbox(NAME, account.lambda_connection())
    with account.connect() as writer, rung(writer, "insert into account values (1)"):
        locking = in_the_background(other.try_lock, after=0.3)
        assert 0.2 < waited(account) < 2.9
        locking.join()


@pytest.mark.parametrize("seconds", [4.0, pytest.param(10.0, marks=slow)])
def test_a_commit_that_waits_for_a_standby_is_taken_by_the_drain_that_silenced_it(
    account: Captured, listener: psycopg.Connection[Any], postgres_server: PostgresServer, seconds: float
) -> None:
    """drain: awake | writer: finds the lock taken, writes its commit, waits for the standby | drain: finds
    nothing, lets go | standby: answers, seconds later | drain: has its last look."""
    account.run(f"alter database {account.app.info.dbname} set synchronous_commit = local")
    account.app.execute("set synchronous_commit = local")
    drain = Silencing(account, lambda: stalled.start())
    stalled = Stalled(account, postgres_server, seconds)
    started = time.monotonic()
    try:
        drain.run()
        assert time.monotonic() - started > seconds
    finally:
        stalled.end()
    assert rings(listener) == []
    assert account.reader.execute("select pgevents.has_events()").fetchone() == (False,)
    assert set(account.model.rows["t0"]) == {("1",)}


def test_without_the_lock_of_the_ring_it_would_be_left_lying(
    account: Captured, listener: psycopg.Connection[Any], postgres_server: PostgresServer
) -> None:
    account.run(RING_WITHOUT_ITS_LOCK)
    account.run(f"alter database {account.app.info.dbname} set synchronous_commit = local")
    account.app.execute("set synchronous_commit = local")
    stalled = Stalled(account, postgres_server, 1.0)
    try:
        Silencing(account, stalled.start).run()
    finally:
        stalled.end()
    assert rings(listener) == []
    assert account.reader.execute("select pgevents.has_events()").fetchone() == (True,)


class Stalled:
    """A write whose commit waits for a standby that answers after so many seconds."""

    def __init__(self, captured: Captured, server: PostgresServer, seconds: float) -> None:
        self._captured = captured
        self._admin = psycopg.connect(server.dsn(), autocommit=True)
        self._admin.execute("set synchronous_commit = local")
        self._seconds = seconds
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Comes back when the commit waits."""
        self._standby("nobody")
        writer = self._captured.connect()
        writer.execute("set synchronous_commit = on")
        self._threads = [in_the_background(lambda: writer.execute("insert into account values (1)"))]
        query = "select wait_event from pg_stat_activity where pid = %s"
        while self._captured.run(query, writer.info.backend_pid) != [("SyncRep",)]:
            time.sleep(0.01)
        self._threads.append(in_the_background(lambda: self._standby(""), after=self._seconds))

    def end(self) -> None:
        for thread in self._threads:
            thread.join()
        self._standby("")
        self._admin.close()

    def _standby(self, name: str) -> None:
        self._admin.execute(f"alter system set synchronous_standby_names = '{name}'".encode())
        self._admin.execute("select pg_reload_conf()")


class Silencing:
    """A drain that does something while it is awake, after it has found nothing."""

    def __init__(self, captured: Captured, work: Callable[[], object]) -> None:
        self._captured = captured
        self._work = work

    def __getattr__(self, name: str) -> Any:
        return getattr(self._captured.outbox, name)

    def run(self) -> None:
        self._captured.new_drain(self).run()  # type: ignore[arg-type]

    def rotate(self) -> None:
        work, self._work = self._work, lambda: None
        work()
        self._captured.outbox.rotate()


def write_and_stall(captured: Captured, number: int, goes_on: Callable[[], bool]) -> None:
    """Commits that take their time between the doorbell and the end, some prepared, some rolled back."""
    random = Random(number)
    with captured.connect() as connection:
        while goes_on():
            connection.execute("begin")
            if random.random() < 0.5:
                connection.execute("set constraints all immediate")
            connection.execute("insert into account values (%s) on conflict (id) do update set n = account.n + 1",
                               (random.randrange(50),))  # fmt: skip
            time.sleep(random.choice((0, 0, 0.002, 0.02)))
            connection.execute("rollback" if random.random() < 0.1 else "commit")
            time.sleep(random.choice((0, 0.01, 0.05)))


def wake_drains(captured: Captured, ended: threading.Event, rung: list[float]) -> None:
    """One drain after the other, each woken by a ring; when each of them rang."""
    with captured.connect() as listener:
        listener.execute("listen pgevents_doorbell")
        while not ended.is_set():
            for _ in listener.notifies(timeout=0.2, stop_after=1):
                rung.append(time.monotonic())
                captured.drain()


def test_without_any_sweep_nothing_is_left_lying_after_stalling_writers(
    account: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each drain ends as soon as it can, so that many a commit meets the end of one."""
    monkeypatch.setattr(drain, "_LINGER_SECONDS", 0.0)
    ended, rung = threading.Event(), list[float]()
    latest = time.monotonic() + 20
    with ThreadPoolExecutor() as threads:
        drains = threads.submit(wake_drains, account, ended, rung)
        time.sleep(0.1)
        writers = [
            threads.submit(
                write_and_stall, account, number, lambda: len(rung) < 40 and time.monotonic() < latest
            )
            for number in range(3)
        ]
        for writer in writers:
            writer.result()
        time.sleep(0.5)
        ended.set()
        drains.result()
    assert len(rung) > 5
    assert account.run("select pgevents.has_events()") == [(False,)]
    assert account.differences() == []


def test_writers_go_on_and_lose_nothing_while_the_doorbell_is_replaced(account: Captured) -> None:
    """A deployment: transactions that have rung with the old form end under the new one."""
    new = account.run("select pg_get_functiondef('pgevents.ring()'::regprocedure)")[0][0]
    with ThreadPoolExecutor() as threads:
        until = time.monotonic() + 2
        writers = [
            threads.submit(write_and_stall, account, number, lambda: time.monotonic() < until)
            for number in range(4)
        ]
        while time.monotonic() < until:
            account.run(RING_WITHOUT_ITS_LOCK)
            account.drain(0.05)
            account.run(new)
        for writer in writers:
            writer.result()
    assert account.differences() == []
