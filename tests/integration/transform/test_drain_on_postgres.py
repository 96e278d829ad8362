"""The drain on a real database: it finds everything, survives an end at any step, and leaves nothing behind."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import psycopg
import pytest

from pgevents import ChangeEvent, Record, on
from pgevents.batch import Batch
from pgevents.config import Drain as Limits
from pgevents.config import Pipeline, PostgresSink, RedshiftSink, Route
from tests.integration.db_triggers.captured import NAME, Captured
from tests.integration.transform.failing import Failing, Interruption
from transform.delivery import Drained
from transform.drain import Drain
from transform.source import outbox as transform_outbox
from transform.source import session as transform_session
from transform.source.outbox import Outbox


@pytest.fixture
def account(captured: Captured) -> Captured:
    captured.run("create table account (id int primary key, n int not null default 0)")
    captured.install("public.account", doorbell="notify")
    return captured


def with_warehouse(captured: Captured, limits: Limits) -> Pipeline:
    """The pipeline with a second sink behind the writer."""
    route = Route(f"{NAME}.public.account", ("model", "warehouse"), target="t0")
    sinks = {"model": PostgresSink(), "warehouse": RedshiftSink()}
    return Pipeline(captured.pipeline.sources, sinks, (route,), drain=limits)


def test_a_drain_takes_everything_in_batches_of_the_size_asked_for(account: Captured) -> None:
    account.run("insert into account select generate_series(1, 2500)")
    assert account.drain() == Drained(batches=3, events=2_500)
    assert account.drain() == Drained()
    assert account.differences() == []


def test_a_second_drain_leaves_the_first_one_alone(account: Captured) -> None:
    account.run("insert into account values (1)")
    other = Outbox(NAME, account.lambda_connection())
    assert other.try_lock()
    assert account.drain() == Drained()
    other.unlock()
    assert account.drain().events == 1


def test_ten_drains_at_once_deliver_every_event_once(account: Captured) -> None:
    account.run("insert into account select generate_series(1, 5000)")
    drains = [account.new_drain(Outbox(NAME, account.lambda_connection())) for _ in range(10)]
    with ThreadPoolExecutor(10) as threads:
        done = list(threads.map(Drain.run, drains))
    assert sum(drained.events for drained in done) == 5_000
    assert len(account.model.versions_seen) == 5_000
    assert account.differences() == []


@pytest.mark.parametrize("afterwards", [False, True], ids=["before", "after"])
def test_a_drain_cut_off_at_any_step_loses_nothing_and_inverts_nothing(
    account: Captured, afterwards: bool
) -> None:
    cut = 0
    for at_call in range(1, 26):
        account.run(
            f"insert into account values ({at_call % 5}) on conflict (id) do update set n = account.n + 1"
        )
        account.run(f"update account set n = n + 1; delete from account where id = {(at_call + 2) % 5}")
        connection = account.lambda_connection()
        try:
            account.new_drain(Failing(Outbox(NAME, connection), at_call, afterwards)).run()  # type: ignore[arg-type]
        except Interruption:
            cut += 1
        connection.close()
    assert cut > 8
    assert account.differences() == []


def test_a_drain_that_always_finds_more_gives_space_back_meanwhile(
    account: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transform_outbox, "_HALF_FULL_BYTES", 8192)
    monkeypatch.setattr(transform_outbox, "_ROTATE_SECONDS", 0.0)
    sizes: list[int] = []
    until_then = account.model.apply

    def write_more(batch: Batch) -> None:
        until_then(batch)
        if len(sizes) < 40:
            account.run("insert into account select coalesce(max(id), 0) + g from account, generate_series(1, 200) as g"
                        " group by g")  # fmt: skip
        sizes.append(
            account.run("select sum(pg_relation_size(outbox))::int from pgevents.pending_outboxes()")[0][0]
        )

    monkeypatch.setattr(account.model, "apply", write_more)
    account.run("insert into account values (0)")
    account.drain()
    assert len(sizes) > 40
    assert max(sizes) < 200_000
    monkeypatch.undo()
    assert account.differences() == []


def test_batches_wait_for_the_writer_and_go_on_when_it_has_confirmed(account: Captured) -> None:
    pipeline = with_warehouse(account, Limits(batch_events=10, in_flight=2))
    account.run("insert into account select generate_series(1, 50)")
    forwarded: list[Batch] = []
    tick = iter(range(1_000))

    def confirm_now_and_then() -> bool:
        if next(tick) % 5 == 4 and len(forwarded) < 5:
            account.outbox.mark_applied(forwarded[-1].batch_id)
        return len(forwarded) == 5

    drain = Drain(
        pipeline, account.outbox, {"model": account.model.apply}, forwarded.append, confirm_now_and_then
    )
    drain.run()
    assert [batch.batch_id for batch in forwarded] == [1, 2, 3, 4, 5]
    assert account.outbox.standing().in_flight <= 3


def test_a_sweep_forwards_again_what_was_never_confirmed_and_the_same_bytes(account: Captured) -> None:
    pipeline = with_warehouse(account, Limits())
    account.run("insert into account select generate_series(1, 50); update account set n = id")
    forwarded: list[Batch] = []
    drain = Drain(pipeline, account.outbox, {"model": account.model.apply}, forwarded.append, lambda: False)
    drain.run()
    account.run("update account set n = -1; alter table account add column extra text")
    drain.run(overdue_seconds=0.0)
    assert [batch.batch_id for batch in forwarded] == [1, 1, 2]
    assert forwarded[0] == forwarded[1]


def write_mixed(captured: Captured, seed: int, transactions: int) -> None:
    """Inserts, upserts, updates, key changes, deletes and TRUNCATE, with rollbacks and savepoints among them."""
    random = Random(seed)
    with captured.connect() as connection:
        for _ in range(transactions):
            try:
                with connection.transaction(force_rollback=random.random() < 0.1):
                    for _ in range(random.randint(1, 4)):
                        with connection.transaction(force_rollback=random.random() < 0.15):
                            write_one(connection, random)
            except (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected):
                pass


def write_one(connection: psycopg.Connection[Any], random: Random) -> None:
    table, key = random.choice(("account", "other")), random.randint(1, 40)
    statement = random.choices(
        (
            f"insert into {table} values ({key}, 1) on conflict (id) do update set n = {table}.n + 1",
            f"update {table} set n = n + 1 where id between {key} and {key + 3}",
            f"update {table} set id = id + 1000 where id = {key}",
            f"delete from {table} where id = {key} or id = {key + 1000}",
            f"with gone as (delete from {table} where id < {key} returning id) insert into {table} select max(id), 0 from gone"
            " having max(id) is not null",
            f"truncate {table}",
        ),
        (30, 30, 10, 20, 4, 1),
    )[0]  # fmt: skip
    connection.execute(statement.encode())


def test_mixed_traffic_of_eight_writers_beside_a_drain_ends_with_equal_tables(account: Captured) -> None:
    account.run("create table other (id int primary key, n int)")
    account.install("public.account", "public.other", doorbell="notify")
    done = threading.Event()

    def drain_until_done() -> None:
        outbox = Outbox(NAME, account.lambda_connection())
        while not done.is_set():
            account.new_drain(outbox, 0.5).run()

    with ThreadPoolExecutor(9) as threads:
        draining = threads.submit(drain_until_done)
        writers = [threads.submit(write_mixed, account, seed, 60) for seed in range(8)]
        for writer in writers:
            writer.result()
        done.set()
        draining.result()
    assert account.differences() == []
    assert len(account.model.versions_seen) > 500


def test_a_transform_that_takes_longer_than_the_source_waits_for_a_word(
    account: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source ends a silent session; the batch would be routed anew by each drain, for ever."""
    monkeypatch.setattr(transform_session, "PULSE_SECONDS", 0.4)
    account.reader.execute("set idle_session_timeout = '400ms'")

    @on(f"{NAME}.public.account", "INSERT")
    def slow(event: ChangeEvent) -> Record:
        time.sleep(0.02)
        return Record(event.payload)

    account.run("insert into account select generate_series(1, 60)")
    assert account.drain().events == 60
    assert account.differences() == []
