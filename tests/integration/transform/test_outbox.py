"""The outbox and the ledger as the drain uses them, on a real database."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from pgevents.config import Table
from pgevents.errors import PgEventsError, TransientError
from tests.integration.db_triggers.captured import NAME, Captured
from transform.source.outbox import LedgerBatch, Outbox, TableRows, translated


@pytest.fixture
def account(captured: Captured) -> Captured:
    captured.run("create table account (id bigint primary key, name text)")
    captured.run("create table entry (id int primary key, account_id bigint, note text)")
    captured.install("public.account", "public.entry")
    return captured


def opened(captured: Captured, batch_events: int = 1_000) -> list[LedgerBatch]:
    captured.outbox.open_batches(batch_events)
    return captured.outbox.open()


def test_a_batch_is_read_by_table_with_keys_columns_and_types(account: Captured) -> None:
    account.run("insert into account values (1, 'ann'); insert into entry values (7, 1, null)")
    account.run("update account set name = e'a\\tb\\\\' where id = 1")
    (batch,) = opened(account)
    first, second = account.outbox.read(batch)
    assert (first.table, first.key, first.columns) == ("public.account", ("id",), ("id", "name"))
    assert first.types == ("bigint", "text")
    assert [(row.op, row.seq, row.before, row.after) for row in first.rows] == [
        ("I", 1, (None, None), ("1", "ann")),
        ("U", 3, ("1", "ann"), ("1", "a\tb\\")),
    ]
    assert second.types == ("integer", "bigint", "text")
    assert [row.after for row in second.rows] == [("7", "1", None)]
    assert batch.events == 3
    assert abs(batch.opened_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert abs(datetime.fromisoformat(first.rows[0].captured_at) - batch.opened_at) < timedelta(minutes=1)


def test_a_batch_in_both_halves_and_two_shapes_is_read_in_order(account: Captured) -> None:
    writer = account.connect()
    account.run("insert into account values (0, 'x')")
    account.drain()
    with writer.transaction():
        writer.execute("insert into account values (1, 'a')")
        account.reader.execute("select pgevents.rotate_outbox(1)")
        writer.execute("update account set name = 'b' where id = 1")
        writer.execute("alter table account add column extra text")
        writer.execute("update account set extra = 'c' where id = 1")
    (batch,) = opened(account)
    tables = account.outbox.read(batch)
    assert [(table.columns, [row.op for row in table.rows]) for table in tables] == [
        (("id", "name"), ["I", "U"]),
        (("id", "name", "extra"), ["U"]),
    ]
    seqs = [row.seq for table in tables for row in table.rows]
    assert seqs == sorted(seqs)


def test_shapes_that_differ_in_their_key_alone_are_kept_apart(account: Captured) -> None:
    account.run("insert into account values (1, 'ann')")
    account.install(Table("public.account", key=("name",)), "public.entry")
    account.run("insert into account values (2, 'bob')")
    (batch,) = opened(account)
    assert [(table.key, len(table.rows)) for table in account.outbox.read(batch)] == [
        (("id",), 1),
        (("name",), 1),
    ]


def test_only_one_session_holds_the_drains_lock(account: Captured) -> None:
    other = Outbox(NAME, account.lambda_connection())
    assert account.outbox.try_lock()
    assert not other.try_lock()
    account.outbox.unlock()
    assert other.try_lock()


def test_a_backlog_is_not_read_through_once_a_batch(account: Captured) -> None:
    account.run("insert into account select g, repeat('x', 200) from generate_series(1, 20000) as g")
    batches = opened(account, 1_000)
    assert len(batches) >= 20
    pages = "select heap_blks_read + heap_blks_hit from pg_statio_all_tables where relname = 'outbox_1_0'"
    account.run("select pg_stat_force_next_flush()")
    account.reader.execute("select pg_stat_force_next_flush()")
    before = account.run(pages)[0][0]
    account.outbox.read(batches[10])
    account.reader.execute("select pg_stat_force_next_flush()")
    (size,) = account.run("select pg_relation_size('pgevents.outbox_1_0') / 8192")[0]
    assert 0 < account.run(pages)[0][0] - before < size / 10


def test_an_outbox_that_was_rewritten_is_read_all_the_same(account: Captured) -> None:
    with account.app.transaction(force_rollback=True):
        account.run("insert into account select g, repeat('gone', 500) from generate_series(1, 2000) as g")
    account.run("insert into account select g, 'kept' from generate_series(1, 3000) as g")
    batches = opened(account)
    before = [account.outbox.read(batch) for batch in batches]
    account.run("vacuum full pgevents.outbox_1_0")
    assert [account.outbox.read(batch) for batch in batches] == before
    assert account.differences() == []


def test_events_that_somebody_took_are_missed(account: Captured) -> None:
    account.run("insert into account select generate_series(1, 10)")
    (batch,) = opened(account)
    account.run("delete from pgevents.outbox_1_0 where seq > 7")
    with pytest.raises(
        PgEventsError, match="source shop: batch 1 holds 7 of its 10 events; something else has changed"
    ):
        account.outbox.read(batch)


def test_a_connection_that_breaks_is_a_transient_error(account: Captured) -> None:
    account.run("select pg_terminate_backend(%s, 5000)", account.reader.info.backend_pid)
    with pytest.raises(TransientError, match="^source shop: "), translated(NAME):
        account.outbox.has_events()


def test_an_empty_database_has_nothing_to_read(account: Captured) -> None:
    assert opened(account) == []
    assert not account.outbox.has_events()
    assert account.outbox.open() == []


def test_a_batch_that_is_gone_from_the_ledger_reads_as_an_error(account: Captured) -> None:
    unknown = LedgerBatch(99, 1, 3, datetime.now(UTC))
    with pytest.raises(PgEventsError, match="holds 0 of its 3 events"):
        account.outbox.read(unknown)


def test_rows_are_immutable_tuples_of_text(account: Captured) -> None:
    account.run("insert into account values (1, 'x')")
    (batch,) = opened(account)
    (table,) = account.outbox.read(batch)
    assert isinstance(table, TableRows)
    assert isinstance(table.rows[0].after, tuple)


def test_a_source_without_capture_says_so_by_postgresqls_own_error(database: str) -> None:
    with (
        psycopg.connect(database, autocommit=True) as connection,
        pytest.raises(psycopg.errors.UndefinedTable),
    ):
        Outbox(NAME, connection).open()
