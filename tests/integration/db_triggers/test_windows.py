"""Batches hold every committed event once, whatever order transactions commit in, and hold it for ever."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from random import Random

import psycopg
import pytest

from local.postgres import PostgresServer
from tests.integration.db_triggers.captured import Captured
from tests.integration.db_triggers.conftest import slow
from transform.source.outbox import Outbox


@pytest.fixture
def counter(captured: Captured) -> Captured:
    captured.run("create table counter (id int primary key, n bigint not null default 0)")
    captured.install("public.counter")
    return captured


def weighed(captured: Captured) -> list[tuple[int, int]]:
    """The events of the next window: (seq, weight)."""
    window = captured.run("select pgevents.window_sql(pgevents.last_window(), pg_current_snapshot())")[0][0]
    return [
        (seq, weight) for seq, weight in captured.run(f"select seq, weight from ({window}) as w order by seq")
    ]


def write_hot_rows(captured: Captured, seed: int, until: threading.Event) -> int:
    """Updates few rows; takes its transaction id long before its row locks, and commits late now and then."""
    random, transactions = Random(seed), 0
    with captured.connect() as connection:
        while not until.is_set():
            with connection.transaction(force_rollback=random.random() < 0.1):
                connection.execute("select pg_current_xact_id()")
                if random.random() < 0.1:
                    time.sleep(random.random() / 50)
                for row in sorted(random.sample(range(1, 7), random.randint(1, 3))):
                    connection.execute("update counter set n = n + 1 where id = %s", (row,))
                if random.random() < 0.05:
                    time.sleep(random.random() / 20)
            transactions += 1
    return transactions


def hammer(captured: Captured, seconds: float) -> int:
    """Eight writers of hot rows beside a drain that reads continuously; how many transactions there were."""
    captured.run("insert into counter select generate_series(1, 6)")
    done = threading.Event()
    with ThreadPoolExecutor(8) as threads:
        writers = [threads.submit(write_hot_rows, captured, seed, done) for seed in range(8)]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            captured.drain(until - time.monotonic())
        done.set()
    return sum(writer.result() for writer in writers)


def assert_every_event_came_once_and_in_order(captured: Captured) -> None:
    """n counts the updates of a row: of all the values that it took, each must have come, and in this order."""
    assert captured.differences() == []
    assert len(captured.model.versions_seen) == len(set(captured.model.versions_seen))
    counted = sum(int(row["n"] or 0) for row in captured.table_rows("public.counter").values())
    assert len(captured.model.versions_seen) == counted + 6


def test_hot_rows_lose_double_and_invert_nothing_under_a_drain_that_reads_all_the_time(
    counter: Captured,
) -> None:
    assert hammer(counter, 4) > 100
    assert_every_event_came_once_and_in_order(counter)


@slow
def test_hot_rows_for_a_minute(counter: Captured) -> None:
    assert hammer(counter, 60) > 1_000
    assert_every_event_came_once_and_in_order(counter)


def test_a_transaction_that_commits_late_is_in_a_later_batch(counter: Captured) -> None:
    with counter.connect() as early, early.transaction():
        early.execute("insert into counter values (1)")
        counter.run("insert into counter values (2)")
        assert [event.after["id"] for event in counter.events()] == ["2"]
        assert counter.events() == []
    late = counter.events()
    assert [event.after["id"] for event in late] == ["1"]
    counter.drain()
    assert counter.differences() == []


def test_a_batch_read_again_is_the_same_whatever_happened_meanwhile(counter: Captured) -> None:
    counter.run("insert into counter select generate_series(1, 500); update counter set n = id")
    with counter.connect() as held, held.transaction():
        held.execute("insert into counter values (1000)")
        counter.outbox.open_batches(300)
        batches = counter.ledger()
        first = [counter.outbox.read(batch) for batch in batches]
    counter.run("delete from counter where id > 250; alter table counter add column extra text default 'x'")
    counter.run("update counter set extra = 'y'; truncate counter")
    counter.outbox.open_batches(300)
    counter.outbox.rotate()
    counter.run("drop table counter")
    again = Outbox("again", counter.lambda_connection())
    assert sum(batch.events for batch in batches) == 1000
    assert len(batches) == 4
    assert [again.read(batch) for batch in batches] == first


def test_a_large_window_is_cut_by_the_number_of_events(counter: Captured) -> None:
    counter.run("insert into counter select generate_series(1, 1050)")
    assert counter.outbox.open_batches(100) == 11
    batches = counter.ledger()
    assert [batch.events for batch in batches] == [100] * 10 + [50]
    read = [[row.seq for rows in counter.outbox.read(batch) for row in rows.rows] for batch in batches]
    assert [len(seqs) for seqs in read] == [100] * 10 + [50]
    assert sum(read, []) == sorted(sum(read, []))


def test_nothing_new_opens_no_batch(counter: Captured) -> None:
    counter.run("insert into counter values (1)")
    assert counter.outbox.open_batches(10) == 1
    assert counter.outbox.open_batches(10) == 0
    assert not counter.outbox.has_events()


def test_drains_that_open_batches_at_once_never_overlap(counter: Captured) -> None:
    done = threading.Event()
    outboxes = [Outbox("one", counter.lambda_connection()) for _ in range(4)]
    counter.run("insert into counter select generate_series(1, 6)")

    def open_all(outbox: Outbox) -> None:
        while not done.is_set():
            outbox.open_batches(7)

    with ThreadPoolExecutor(8) as threads:
        openers = [threads.submit(open_all, outbox) for outbox in outboxes]
        writers = [threads.submit(write_hot_rows, counter, seed, done) for seed in range(3)]
        time.sleep(2)
        done.set()
    for each in [*openers, *writers]:
        each.result()
    counter.outbox.open_batches(7)
    seqs = [row.seq for batch in counter.ledger() for rows in counter.outbox.read(batch) for row in rows.rows]
    assert len(seqs) == len(set(seqs)) == sum(batch.events for batch in counter.ledger())
    assert_every_event_came_once_and_in_order(counter)


def test_a_write_transaction_in_another_database_delays_nothing(
    counter: Captured, postgres_server: PostgresServer
) -> None:
    with psycopg.connect(postgres_server.dsn()) as elsewhere:
        elsewhere.execute("select pg_current_xact_id()")
        counter.run("insert into counter values (1)")
        assert [event.after["id"] for event in counter.events()] == ["1"]


def test_subtransactions_report_the_transaction_that_they_belong_to(counter: Captured) -> None:
    with counter.app.transaction():
        (own,) = counter.run("select pg_current_xact_id()::text::bigint")
        with counter.app.transaction(), counter.app.transaction():
            counter.run("insert into counter values (1)")
    assert [event.transaction_id for event in counter.events()] == [own[0]]


def test_events_of_a_crashed_server_are_those_of_its_committed_transactions(
    counter: Captured, postgres_server: PostgresServer
) -> None:
    counter.run("insert into counter values (1)")
    counter.outbox.open_batches(10)
    held = counter.connect()
    held.execute("begin")
    held.execute("insert into counter values (2)")
    counter.run("set synchronous_commit = on; insert into counter values (3)")
    postgres_server.restart("immediate")
    after = Captured(counter.dsn)
    after.pipeline = counter.pipeline
    try:
        assert after.differences() == []
        assert sorted(key for (key,) in after.model.rows["t0"]) == ["1", "3"]
    finally:
        after.close()


def sizes(captured: Captured) -> list[int]:
    return [batch.events for batch in captured.ledger()]


def test_a_window_is_cut_by_bytes_too_and_what_is_heavy_is_a_batch_by_itself(captured: Captured) -> None:
    captured.run("create table note (id int primary key, body text)")
    captured.install("public.note")
    captured.run("insert into note select g, repeat('x', 1000) from generate_series(1, 100) as g")
    captured.run("insert into note values (101, repeat('y', 60000))")
    captured.run("insert into note select g, repeat('z', 1000) from generate_series(102, 150) as g")
    captured.outbox.open_batches(1_000, 50_000)
    assert sum(sizes(captured)) == 150
    assert 1 in sizes(captured)
    assert max(sizes(captured)) <= 50
    assert len(sizes(captured)) <= 7
    assert captured.differences() == []


@pytest.mark.parametrize("seed", range(12))
def test_no_batch_has_too_many_events_or_bytes(captured: Captured, seed: int) -> None:
    """Of whatever weights, in whatever order, whichever of the two limits is the narrower one, and in slices of
    one number (the first three limits) or of several, which a heavy event may make too heavy."""
    random = Random(seed)
    narrow = (7, 50_000), (100, 10_000), (1, 90_000)
    wide = (640, 400_000), (1_000_000, 200_000), (2_000, 3_000_000)
    most_events, most_bytes = random.choice(narrow + wide)
    longest = random.uniform(1, 5)
    lengths = [round(10 ** random.uniform(0, longest)) for _ in range(1_000)]
    captured.run("create table note (id int primary key, body text)")
    captured.install("public.note")
    for first in range(0, 1_000, 250):
        captured.run(
            "insert into note select %s + position, repeat('x', length)"
            " from unnest(%s::integer[]) with ordinality as l (length, position)",
            first, lengths[first : first + 250],
        )  # fmt: skip
        captured.run("select nextval('pgevents.event_seq') from generate_series(1, %s)", random.randrange(90))
    weights = dict(weighed(captured))
    captured.outbox.open_batches(most_events, most_bytes)
    batches = [
        [weights[row.seq] for rows in captured.outbox.read(batch) for row in rows.rows]
        for batch in captured.ledger()
    ]
    assert [weight for batch in batches for weight in batch] == list(weights.values())
    assert max(map(len, batches)) <= most_events
    for batch in batches:
        assert len(batch) == 1 or sum(batch) <= 1.6 * most_bytes
        assert len(batch) == 1 or max(batch) <= 0.51 * most_bytes
    shares = [max(weight / most_bytes, 1 / most_events) for weight in weights.values()]
    alone = sum(share > 0.49 for share in shares)
    assert len(batches) <= 1.02 * sum(share for share in shares if share <= 0.5) + 2 * alone + 1


@pytest.mark.parametrize(
    ("column", "value", "bytes_of_text"),
    [
        ("text", "repeat('x', 1000000)", 1_000_000),
        ("text", "(select string_agg(md5(g::text), '') from generate_series(1, 40000) as g)", 1_280_000),
        ("bytea", "decode(repeat('00', 500000), 'hex')", 1_000_000),
        ("jsonb", "jsonb_build_object('a', repeat('x', 1000000))", 1_000_000),
        ("text[]", "array_fill('x'::text, array[300000])", 600_000),
        ("numeric", "(repeat('9', 100000))::numeric", 100_000),
        ("varchar(20)", "'short'", 5),
        ("integer", "null", 0),
    ],
)
def test_a_weight_is_about_what_is_printed_however_it_is_stored(
    captured: Captured, column: str, value: str, bytes_of_text: int
) -> None:
    captured.run(f"create table thing (id int primary key, body {column})")
    captured.install("public.thing")
    captured.run(f"insert into thing select 1, {value}; update thing set id = 2")
    inserted, updated = (weight for _, weight in weighed(captured))
    assert bytes_of_text * 0.8 <= inserted <= bytes_of_text * 2 + 500
    assert bytes_of_text * 1.6 <= updated <= bytes_of_text * 4 + 1_000
