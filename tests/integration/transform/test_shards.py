"""A source in shards: everything arrives once and in order, whoever takes it, and whoever does not come."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from pgevents import ChangeEvent, Record, on
from pgevents.batch import Batch
from tests.integration.db_triggers.captured import NAME, Captured
from tests.integration.transform.sharded import SHARDS, Sharded, nobody
from transform import shards
from transform.delivery import Drained
from transform.source.outbox import Outbox

TABLE = f"{NAME}.public.account"


@pytest.fixture
def sharded(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> Sharded:
    monkeypatch.setattr(shards, "_COMING_SECONDS", 0.2)
    captured.run("create table account (id int primary key, n int not null default 0)")
    captured.install("public.account")
    return Sharded(captured)


def unfinished(sharded: Sharded) -> list[tuple[int, int]]:
    rows = sharded.run(
        "select shard, count(*) from pgevents.batch where state <> 'applied' group by 1 order by 1"
    )
    return [(shard, count) for shard, count in rows]


def test_every_shard_has_a_drain_of_its_own(sharded: Sharded) -> None:
    sharded.run("insert into account select generate_series(1, 2000)")
    own = sharded.drain()
    beside = sharded.beside()
    assert sorted(sharded.woken) == [1, 2, 3]
    assert own.events + sum(each.events for each in beside) == 2_000
    assert all(each.events > 400 for each in [own, *beside])
    assert sharded.captured.differences() == []
    assert len(sharded.captured.model.versions_seen) == 2_000


def test_few_events_wake_nobody(sharded: Sharded) -> None:
    sharded.run("insert into account select generate_series(1, 90)")
    assert sharded.drain() == Drained(batches=1, events=90)
    assert sharded.woken == []


@pytest.mark.parametrize("wake", [nobody, lambda shard: False], ids=["throttled", "never comes"])
def test_the_source_s_own_drain_takes_over_for_a_drain_that_does_not_come(
    sharded: Sharded, wake: object
) -> None:
    sharded.comes = wake  # type: ignore[assignment]
    sharded.run("insert into account select generate_series(1, 1000)")
    assert sharded.drain().events == 1_000
    assert sharded.captured.differences() == []


def test_after_a_call_that_fails_nobody_is_called_for_a_while(sharded: Sharded) -> None:
    """Each may take long until it fails."""
    sharded.comes = nobody
    sharded.run("insert into account select generate_series(1, 1000)")
    assert sharded.drain().events == 1_000
    assert sharded.woken == [1]


def test_shards_that_are_through_first_are_called_for_the_next_window_too(sharded: Sharded) -> None:
    more = iter(["insert into account select generate_series(1001, 2000)"])

    def write_slowly(batch: Batch) -> object:
        if threading.current_thread() is threading.main_thread():
            if statement := next(more, ""):
                sharded.run(statement)
            time.sleep(0.2)
        return sharded.captured.model.apply(batch)

    sharded.writes = write_slowly
    sharded.run("insert into account select generate_series(1, 1000)")
    drained = sharded.drain()
    sharded.beside()
    assert sharded.captured.differences() == []
    [(of_its_own,)] = sharded.run("select sum(events) from pgevents.batch where shard = 0")
    assert drained.events == of_its_own
    assert sharded.run("select count(distinct window_to::text) from pgevents.batch where shards > 1") == [
        (2,)
    ]


def test_a_batch_that_moves_to_a_new_epoch_while_it_is_taken_is_taken_again(sharded: Sharded) -> None:
    sharded.run("insert into account select generate_series(1, 1000)")
    sharded.captured.outbox.open_batches(100, most_shards=SHARDS)
    epochs: list[tuple[int, int]] = []

    def write(batch: Batch) -> object:
        if not epochs:
            sharded.run("select pgevents.begin_epoch('a sink said so', 1, 1)")
        epochs.append((batch.batch_id, batch.epoch))
        return sharded.captured.model.apply(batch)

    sharded.writes = write
    sharded.drain_shard(1)
    taken = sharded.run("select batch_id, epoch from pgevents.batch where shard = 1 and state = 'applied'")
    assert len(taken) > 1
    assert {batch_id for batch_id, epoch in epochs if epoch == 1} == {batch_id for batch_id, _ in taken}
    assert set(taken) <= set(epochs)


def test_the_last_look_sees_what_was_refused_of_another_shard(
    sharded: Sharded, monkeypatch: pytest.MonkeyPatch
) -> None:
    sharded.run("insert into account select generate_series(1, 1000)")
    sharded.drain()
    sharded.beside()
    wait, other = sharded.captured.outbox.wait_for_commits, sharded.captured.connect()
    refused = iter(["update pgevents.batch set state = 'open', applied_at = null where shard = 1"])

    def wait_and_be_refused(out_of_time: Callable[[], bool]) -> None:
        wait(out_of_time)
        if statement := next(refused, ""):
            other.execute(statement)

    monkeypatch.setattr(sharded.captured.outbox, "wait_for_commits", wait_and_be_refused)
    sharded.drain()
    sharded.beside()
    assert unfinished(sharded) == []


def test_what_is_overdue_is_repeated_by_the_source_s_own_drain_alone(sharded: Sharded) -> None:
    sharded.run("insert into account select generate_series(1, 1000)")
    sharded.drain()
    sharded.beside()
    sharded.run(
        "update pgevents.batch set state = 'forwarded', applied_at = null, forwarded_at = now() - interval '1 hour'"
    )
    sharded.run("update account set n = n + 1")
    sharded.captured.outbox.open_batches(100, most_shards=SHARDS)
    assert sharded.drain_shard(2).events < 400
    assert sharded.drain(overdue_seconds=90.0).events > 1_000


def test_it_waits_for_a_drain_that_is_slow_and_opens_no_window_meanwhile(sharded: Sharded) -> None:
    other = Outbox(NAME, sharded.captured.lambda_connection())
    assert other.try_shard_lock(2)
    sharded.run("insert into account select generate_series(1, 1000)")
    with ThreadPoolExecutor(1) as thread:
        drained = thread.submit(sharded.drain)
        sharded.beside()
        time.sleep(0.6)
        sharded.run("insert into account select generate_series(1001, 2000)")
        time.sleep(0.3)
        assert not drained.done()
        assert {shard for shard, _ in unfinished(sharded)} == {2}
        assert sharded.run("select count(distinct window_to::text) from pgevents.batch") == [(1,)]
        other.unlock_shard(2)
        drained.result()
    sharded.beside()
    assert unfinished(sharded) == []
    assert sharded.captured.differences() == []
    assert len(sharded.captured.model.versions_seen) == 2_000


def test_a_drain_whose_time_is_up_leaves_the_shards_to_the_next_one(sharded: Sharded) -> None:
    sharded.comes = lambda shard: False
    sharded.run("insert into account select generate_series(1, 1000)")
    assert sharded.drain(seconds=0.1).events < 1_000
    assert unfinished(sharded)
    sharded.comes = lambda shard: True
    sharded.drain()
    sharded.beside()
    assert unfinished(sharded) == []
    assert sharded.captured.differences() == []


def test_a_pause_stops_all_of_them(sharded: Sharded) -> None:
    sharded.run("insert into account select generate_series(1, 2000)")

    def pause_and_write(batch: Batch) -> object:
        sharded.run("insert into pgevents.paused (what) values ('source') on conflict do nothing")
        return sharded.captured.model.apply(batch)

    sharded.writes = pause_and_write
    taken = sharded.drain().batches + sum(each.batches for each in sharded.beside())
    assert 1 <= taken <= SHARDS
    sharded.run("delete from pgevents.paused")
    sharded.writes = sharded.captured.model.apply
    sharded.drain()
    sharded.beside()
    assert sharded.captured.differences() == []


def test_what_one_of_them_cannot_take_is_raised_and_stays(sharded: Sharded) -> None:
    """The drain of shard 3 fails at once; the source's own one meets the same batch, and says so."""

    sharded.run("insert into account select generate_series(1, 1000)")
    sharded.captured.outbox.open_batches(100, most_shards=SHARDS)
    sharded.run("update pgevents.batch set events = events + 1 where shard = 3")
    with pytest.raises(Exception, match="holds .* of its .* events"):
        sharded.drain()
    with pytest.raises(Exception, match="holds .* of its .* events"):
        sharded.beside()
    assert {shard for shard, _ in unfinished(sharded)} == {3}
    sharded.run("update pgevents.batch set events = events - 1 where shard = 3")
    sharded.drain()
    sharded.beside()
    assert sharded.captured.differences() == []


def test_a_poisoned_row_stops_its_own_later_events_alone(sharded: Sharded) -> None:
    poison = set(range(7, 12))

    @on(TABLE, "INSERT", "UPDATE")
    def refuses(event: ChangeEvent) -> Record:
        if event.payload["id"] in poison and event.event_type == "INSERT":
            raise ValueError("poisoned")
        return Record(event.payload)

    sharded.run("insert into account select generate_series(1, 500)")
    sharded.run("update account set n = n + 1; update account set n = n + 1")
    sharded.drain()
    sharded.beside()
    letters = sharded.run("select (keys -> 0 ->> 'id')::int, waits from pgevents.dead_letter order by seq")
    assert sorted(letters) == sorted(
        (number, waits) for number in range(7, 12) for waits in (False, True, True)
    )
    assert len(sharded.captured.model.rows["t0"]) == 495
    poison.clear()
    sharded.run(
        "select pgevents.replay(array(select dead_letter_id from pgevents.dead_letter), 100, 'me', '')"
    )
    sharded.drain()
    sharded.beside()
    assert sharded.captured.differences() == []


def test_more_and_fewer_shards_while_batches_wait(sharded: Sharded) -> None:
    for number, wanted in enumerate((4, 1, 3, 2, 1), 1):
        sharded.run(f"insert into account select {number * 1000} + g from generate_series(1, 500) as g")
        sharded.run("update account set n = n + 1 where id % 7 = 0")
        sharded.captured.outbox.open_batches(50, most_shards=wanted)
    sharded.drain()
    sharded.beside()
    assert unfinished(sharded) == []
    assert sharded.captured.differences() == []


def test_hot_rows_and_drains_that_end_anywhere(sharded: Sharded) -> None:
    """Eight writers, drains of the source and of shards that come and go, some of them cut off."""
    done = threading.Event()
    sharded.run("insert into account select generate_series(1, 200)")

    def write(seed: int) -> None:
        random = Random(seed)
        with sharded.captured.connect() as connection:
            while not done.is_set():
                with connection.transaction(force_rollback=random.random() < 0.1):
                    for row in sorted(random.sample(range(1, 201), random.randint(1, 20))):
                        connection.execute("update account set n = n + 1 where id = %s", (row,))

    sharded.comes = lambda shard: Random(time.monotonic()).random() < 0.7
    with ThreadPoolExecutor(8) as threads:
        writers = [threads.submit(write, seed) for seed in range(8)]
        until = time.monotonic() + 5
        while time.monotonic() < until:
            sharded.drain(seconds=0.4)
        done.set()
    for each in writers:
        each.result()
    sharded.drain()
    sharded.beside()
    assert unfinished(sharded) == []
    assert sharded.run("select max(shards) from pgevents.batch") == [(SHARDS,)]
    model = sharded.captured.model
    assert sharded.captured.differences() == []
    assert model.inversions == []
    assert len(model.versions_seen) == len(set(model.versions_seen))
    [(changes,)] = sharded.run("select sum(n) from account")
    assert len(model.versions_seen) == changes + 200
