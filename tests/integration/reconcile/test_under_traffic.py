"""While writers go on, nothing that is right is called a difference, and everything that is wrong is."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from ops.comparison import looks
from pgevents.config import Route, Table
from tests.integration.reconcile.conftest import Comparison, Pair
from tests.integration.reconcile.test_compare import pipeline

MakePair = Callable[..., Pair]
RUNS = 20
HOT_KEYS = 60
STILL = 1_000_000


@contextmanager
def writing(pair: Pair, writers: int = 2) -> Iterator[None]:
    """Writers on a few keys: values, keys that move, deletions, insertions, now and then a TRUNCATE."""
    done = threading.Event()

    def write(seed: int) -> None:
        chosen = random.Random(seed)
        with psycopg.connect(pair.source.info.dsn, autocommit=True) as connection:
            while not done.wait(0.002):
                key, other = chosen.randint(1, HOT_KEYS), chosen.randint(1, HOT_KEYS)
                statement = chosen.choice(
                    [
                        f"update item set v = v + 1 where id between {key} and {key + 5}",
                        f"update item set id = {other} where id = {key}"
                        f" and not exists (select from item where id = {other})",
                        f"delete from item where id = {key}",
                        f"insert into item values ({key}, 0) on conflict (id) do update set v = 0",
                        f"insert into item select g, 1 from generate_series({key}, {key + 9}) as g"
                        " on conflict do nothing",
                    ]
                )
                try:
                    connection.execute(statement.encode())
                    if chosen.random() < 0.02:
                        connection.execute(
                            "truncate other; insert into other select g from generate_series(1, 9) g"
                        )
                except (psycopg.errors.DeadlockDetected, psycopg.errors.UniqueViolation):
                    pass

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(writers)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def pair(make_pair: MakePair) -> Pair:
    made = make_pair(
        "create table item (id integer primary key, v integer); create table other (id integer primary key)",
        pipeline(
            Route("shop.public.item", ("replica",), mode="both"),
            Route("shop.public.other", ("replica",), mode="both"),
            tables=(Table("public.item"), Table("public.other")),
        ),
        f"insert into item select g, g from generate_series({STILL}, {STILL + 999}) as g;"
        f"insert into item select g, g from generate_series(1, {HOT_KEYS}) as g",
    )
    made.drain()
    return made


def compared(pair: Pair, runs: int) -> list[Comparison]:
    with pair.draining(), writing(pair):
        return [pair.compare() for _ in range(runs)]


def test_no_run_under_traffic_raises_a_false_alarm(pair: Pair) -> None:
    runs = compared(pair, RUNS)
    assert [run.differing() for run in runs] == [{}] * RUNS
    assert {finding.state for run in runs for finding in run.findings} <= {"busy"}
    print(f"busy keys a run: {[len(run.findings) for run in runs]}")
    pair.drain()
    assert pair.compare().findings == []


def test_what_is_damaged_under_traffic_is_found_exactly(pair: Pair) -> None:
    replica = pair.sinks["replica"]
    with pair.draining(), writing(pair):
        replica.execute("update item set v = -1 where id = %s", (STILL + 1,))
        replica.execute("delete from item where id between %s and %s", (STILL + 10, STILL + 19))
        replica.execute("insert into item values (-5, 1, 1)")
        replica.execute("delete from item_history where id = %s", (STILL + 30,))
        found = pair.compare()
    assert found.differing() == {
        ("replica", "item", str(STILL + 1)): ("different", ("v",)),
        **{("replica", "item", str(key)): ("missing", ()) for key in range(STILL + 10, STILL + 20)},
        ("replica", "item", "-5"): ("unexpected", ()),
        ("replica", "item_history", str(STILL + 30)): ("missing", ()),
    }


def test_a_row_whose_changes_no_longer_arrive_is_found_though_it_changes_all_the_time(pair: Pair) -> None:
    """What the sink holds stands still: however often the source's row changes, it is no excuse."""
    pair.sinks["replica"].execute(
        "create function lose() returns trigger language plpgsql as"
        f" $$ begin return case when new.id = {STILL} then null else new end; end $$;"
        " create trigger lose before update on item for each row execute function lose()"
    )
    with pair.draining():
        done = threading.Event()

        def change() -> None:
            with psycopg.connect(pair.source.info.dsn, autocommit=True) as connection:
                while not done.wait(0.001):
                    connection.execute("update item set v = v + 1 where id = %s", (STILL,))

        thread = threading.Thread(target=change)
        thread.start()
        try:
            found = pair.compare()
        finally:
            done.set()
            thread.join()
    assert found.differing() == {("replica", "item", str(STILL)): ("different", ("v",))}


def test_without_the_wait_there_would_be_false_alarms(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pair, "applied", lambda self, snapshot: True)
    assert any(run.differing() for run in compared(pair, RUNS))


def test_without_looking_at_the_sink_before_there_would_be_false_alarms(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = looks._Trial._verdict
    monkeypatch.setattr(
        looks._Trial,
        "_verdict",
        lambda self, candidate, wanted, before, after: verdict(self, candidate, wanted, after, after),
    )
    assert any(run.differing() for run in compared(pair, RUNS))
