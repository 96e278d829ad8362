"""A database with events in the form that an earlier version captured them in goes on with the next version."""

import pytest

from db_triggers.installer import install
from tests.integration.db_triggers.captured import NAME, WAKE, Captured

OLDER_OUTBOX = """
drop trigger ring on pgevents.outbox_1_{half};
alter table pgevents.outbox_1_{half} drop column rings;
create constraint trigger ring after insert on pgevents.outbox_1_{half} deferrable initially deferred
for each row when (
    pg_catalog.current_setting('pgevents.rung', true) is distinct from '1'
    and pg_catalog.set_config('pgevents.rung', '1', true) operator(pg_catalog.=) '1'
) execute function pgevents.ring();
alter table pgevents.outbox_1_{half} enable always trigger ring;
"""
BEFORE_SHARDS = """
alter table pgevents.batch drop column shard, drop column shards;
drop function pgevents.open_batches(integer, integer, integer);
create function pgevents.open_batches(batch_events integer, batch_bytes integer default 8388608) returns integer
language sql return 0;
delete from pgevents.migration where name = '0006_shards.sql';
"""
RUNG = "select pg_sequence_last_value('pgevents.doorbell_rung')"


@pytest.fixture
def older(captured: Captured) -> Captured:
    """As it was before the migration `events_that_ring`."""
    captured.run("create table account (id int primary key, n int)")
    captured.install("public.account")
    for half in (0, 1):
        captured.run(OLDER_OUTBOX.format(half=half))
    captured.run("delete from pgevents.migration where name = '0005_events_that_ring.sql'")
    return captured


def upgrade(captured: Captured) -> list[str]:
    return install(captured.app, NAME, captured.pipeline.sources[NAME], WAKE).migrations


def test_events_of_the_older_form_arrive_and_new_ones_ring(older: Captured) -> None:
    older.run("insert into account values (1), (2)")
    assert upgrade(older) == ["0005_events_that_ring.sql"]
    older.run("update account set n = 1 where id = 1; insert into account values (3)")
    assert older.run("select count(*) from pgevents.layout where not retired") == [(1,)]
    assert [rows for (rows,) in older.run("select rings from pgevents.outbox_2_0 order by seq")] == [
        True,
        False,
    ]
    assert older.run(RUNG) == [(2,)]
    assert older.differences() == []


def test_batches_from_before_there_were_shards_are_drained(captured: Captured) -> None:
    captured.run("create table account (id int primary key, n int)")
    captured.install("public.account")
    captured.run("insert into account select generate_series(1, 250)")
    captured.outbox.open_batches(100)
    captured.run(BEFORE_SHARDS)
    assert upgrade(captured) == ["0006_shards.sql"]
    assert captured.run("select pgevents.open_batches(100)") == [(0,)]
    assert captured.run("select shard, shards from pgevents.batch where state = 'open'") == [(0, 1)] * 3
    captured.run("update account set n = 1")
    assert captured.differences() == []


def test_a_transaction_that_spans_the_upgrade_rings_once_and_loses_nothing(older: Captured) -> None:
    writer = older.connect()
    with writer.transaction():
        writer.execute("insert into account values (1)")
        assert upgrade(older) == ["0005_events_that_ring.sql"]
        writer.execute("update account set n = 1")
        writer.execute("insert into account values (2)")
    assert older.run(RUNG) == [(1,)]
    assert older.differences() == []
    assert upgrade(older) == []
