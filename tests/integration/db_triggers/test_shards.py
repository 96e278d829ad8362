"""A window that makes more than one batch is split by key: each event is in one batch, all of a key in one shard."""

import pytest

from tests.integration.db_triggers.captured import Captured, Event, events_in
from transform.source.outbox import LedgerBatch

SHARDS = 4
KEYS = {
    "integer": "g",
    "text": "'row ' || g",
    "numeric": "g / 7.0",
    "uuid": "md5(g::text)::uuid",
    "timestamptz": "timestamptz '2026-01-01 12:00:00.123456+02' + g * interval '1 hour'",
    "date": "date '2026-01-01' + g",
    "bit varying": "g::bit(12)::varbit",
    "money": "g::money",
    "bytea": "decode(lpad(to_hex(g), 8, '0'), 'hex')",
    "inet": "'10.0.0.0'::inet + g",
    "jsonb": "jsonb_build_object('g', g)",
    "int[]": "array[g, g + 1]",
    "int4range": "int4range(g, g + 5)",
}


def split(captured: Captured, most_events: int = 100, shards: int = SHARDS) -> list[tuple[int, LedgerBatch]]:
    """The batches of the next window, each with its shard."""
    captured.outbox.open_batches(most_events, most_shards=shards)
    return [(shard, batch) for shard in range(shards) for batch in captured.outbox.open(shard)]


def read(captured: Captured, batch: LedgerBatch) -> list[Event]:
    return [event for rows in captured.outbox.read(batch) for event in events_in(rows)]


def key_of(event: Event, *columns: str) -> tuple[str | None, ...]:
    image = event.before if event.op == "D" else event.after
    return tuple(image[column] for column in columns)


@pytest.mark.parametrize("key_type", KEYS)
def test_a_key_has_one_shard_whatever_its_type_and_every_event_is_in_one_batch(
    captured: Captured, key_type: str
) -> None:
    captured.run(f"create table thing (id {key_type} primary key, n int not null default 0)")
    captured.install("public.thing")
    captured.run(f"insert into thing (id) select {KEYS[key_type]} from generate_series(1, 400) as g")
    captured.run("update thing set n = n + 1")
    captured.run("delete from thing where id in (select id from thing order by md5(id::text) limit 100)")
    batches = split(captured)
    events = [(shard, event) for shard, batch in batches for event in read(captured, batch)]
    assert sorted(event.seq for _, event in events) == sorted({event.seq for _, event in events})
    assert len(events) == 900 == sum(batch.events for _, batch in batches)
    shards = {key_of(event, "id"): shard for shard, event in events}
    assert all(shards[key_of(event, "id")] == shard for shard, event in events)
    counts = [list(shards.values()).count(shard) for shard in range(SHARDS)]
    assert min(counts) > 50
    assert max(batch.events for _, batch in batches) <= 100


def test_batches_of_a_shard_follow_each_other(captured: Captured) -> None:
    captured.run("create table thing (a int, b text, n int, primary key (b, a))")
    captured.install("public.thing")
    captured.run("insert into thing select g % 10, 'x' || g, 0 from generate_series(1, 300) as g")
    captured.run("update thing set n = 1; update thing set n = 2")
    batches = split(captured, 50)
    for shard in range(SHARDS):
        seqs = [[event.seq for event in read(captured, batch)] for its, batch in batches if its == shard]
        assert len(seqs) > 2
        assert [seq for each in seqs for seq in sorted(each)] == sorted(seq for each in seqs for seq in each)


def test_what_makes_one_batch_is_not_split(captured: Captured) -> None:
    captured.run("create table thing (id int primary key)")
    captured.install("public.thing")
    captured.run("insert into thing select generate_series(1, 90)")
    assert [(shard, batch.events) for shard, batch in split(captured)] == [(0, 90)]
    assert captured.run("select shard, shards from pgevents.batch") == [(0, 1)]
    captured.run("insert into thing select generate_series(101, 250)")
    split(captured)
    assert captured.run("select distinct shards from pgevents.batch where batch_id > 1") == [(SHARDS,)]


def test_a_window_with_an_event_of_a_whole_table_is_not_split(captured: Captured) -> None:
    captured.run("create table thing (id int primary key, n int not null default 0)")
    captured.install("public.thing")
    captured.run("insert into thing select generate_series(1, 200); truncate thing")
    captured.run("insert into thing select generate_series(150, 350)")
    batches = split(captured)
    assert [batch.events <= 100 for _, batch in batches] == [True] * len(batches)
    assert captured.run("select distinct shard, shards from pgevents.batch") == [(0, 1)]
    seqs = [event.seq for _, batch in batches for event in read(captured, batch)]
    assert len(seqs) == 402
    assert seqs == sorted(set(seqs))
    captured.run("update thing set n = 1; update thing set n = 2")
    split(captured)
    assert captured.run("select max(shards) from pgevents.batch") == [(SHARDS,)]


def test_events_of_an_older_layout_are_in_a_shard_too(captured: Captured) -> None:
    captured.run("create table thing (id int primary key); create table other (id int primary key)")
    captured.install("public.thing", "public.other")
    captured.run("insert into thing select generate_series(1, 200); insert into other values (1)")
    captured.run("alter table thing alter id type bigint; alter table thing add more text")
    captured.run("insert into thing select g, 'x' from generate_series(250, 450) as g")
    captured.run("delete from thing where id < 100")
    batches = split(captured)
    events = [(shard, event) for shard, batch in batches for event in read(captured, batch)]
    assert sorted(event.op for _, event in events) == ["D"] * 99 + ["I"] * 402
    shards = {key_of(event, "id"): shard for shard, event in events if event.table == "public.thing"}
    assert all(
        shards[key_of(event, "id")] == shard for shard, event in events if event.table == "public.thing"
    )


def test_a_version_of_the_lambda_that_knows_no_shards_opens_batches_of_all_keys(captured: Captured) -> None:
    captured.run("create table thing (id int primary key)")
    captured.install("public.thing")
    captured.run("insert into thing select generate_series(1, 250)")
    assert captured.run("select pgevents.open_batches(100, 1000000)") == [(3,)]
    assert captured.run("select distinct shard, shards from pgevents.batch") == [(0, 1)]
