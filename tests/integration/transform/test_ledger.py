"""The ledger on a real database: every state of a batch, and every way from one to another."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.db_triggers.captured import Captured
from tests.integration.transform.letters import Shop
from transform.source.outbox import LedgerBatch


@pytest.fixture
def account(captured: Captured) -> Captured:
    captured.run("create table account (id bigint primary key, name text)")
    captured.install("public.account")
    captured.run("insert into account values (1)")
    captured.outbox.open_batches(1_000)
    return captured


def only(captured: Captured) -> LedgerBatch:
    (batch,) = captured.outbox.open()
    return batch


def state(captured: Captured) -> list[str]:
    return [row[0] for row in captured.run("select state from pgevents.batch order by batch_id")]


def test_a_batch_goes_from_open_to_forwarded_to_applied_and_never_back(account: Captured) -> None:
    batch = only(account)
    account.outbox.mark_forwarded(batch)
    assert (state(account), account.outbox.open(), account.outbox.standing().in_flight) == (
        ["forwarded"],
        [],
        1,
    )
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert account.outbox.mark_applied(batch.batch_id, at, batch.epoch, batch.opened_at)
    assert not account.outbox.mark_applied(batch.batch_id)
    account.outbox.mark_forwarded(batch)
    account.outbox.hold(batch, ["archive"], False, "paused")
    assert (state(account), account.outbox.standing().in_flight) == (["applied"], 0)
    assert account.run("select applied_at, attempts from pgevents.batch") == [(at, 1)]


def test_an_answer_for_another_batch_of_the_same_number_changes_nothing(account: Captured) -> None:
    batch = only(account)
    account.outbox.mark_forwarded(batch)
    another_time = batch.opened_at + timedelta(microseconds=1)
    assert not account.outbox.mark_applied(batch.batch_id, None, batch.epoch, another_time)
    assert not account.outbox.mark_applied(batch.batch_id, None, batch.epoch + 1, batch.opened_at)
    account.outbox.refuse(batch.batch_id, {1: "too long"}, batch.epoch, another_time)
    assert (state(account), account.outbox.refused(batch)) == (["forwarded"], {})


def test_an_answer_from_before_an_upgrade_has_neither_epoch_nor_time(account: Captured) -> None:
    account.outbox.mark_forwarded(only(account))
    assert account.outbox.mark_applied(1)
    assert state(account) == ["applied"]


def test_an_answer_that_overtakes_the_drain_applies_the_batch_as_soon_as_it_is_noted(
    account: Captured,
) -> None:
    batch = only(account)
    assert account.outbox.mark_applied(batch.batch_id, None, batch.epoch, batch.opened_at)
    assert state(account) == ["open"], "other sinks may not have it yet"
    account.outbox.mark_forwarded(batch)
    assert state(account) == ["applied"]


def test_a_held_batch_is_applied_when_the_sinks_it_waits_for_have_it_too(account: Captured) -> None:
    batch = only(account)
    account.outbox.hold(batch, ["archive"], True, "archive: paused")
    assert (state(account), account.outbox.standing().in_flight) == (["held"], 1)
    assert account.outbox.mark_applied(batch.batch_id, None, batch.epoch, batch.opened_at)
    assert (state(account), account.outbox.standing().in_flight) == (["held"], 0)
    (held,) = account.outbox.held_batches((), 10)
    assert held.confirmed
    account.outbox.mark_written(held)
    assert state(account) == ["applied"]


def test_what_redshift_confirmed_in_another_epoch_is_not_confirmed(account: Captured) -> None:
    batch = only(account)
    account.outbox.hold(batch, ["archive"], True, "archive: paused")
    account.outbox.mark_applied(batch.batch_id, None, batch.epoch, batch.opened_at)
    account.run("update pgevents.batch set epoch = epoch + 1, state = 'open'")
    assert not only(account).confirmed


def test_held_batches_are_those_for_a_sink_that_is_not_left_out(account: Captured) -> None:
    account.outbox.hold(only(account), ["archive", "replica"], False, "paused")
    assert len(account.outbox.held_batches((), 10)) == 1
    assert len(account.outbox.held_batches(("archive",), 10)) == 1
    assert account.outbox.held_batches(("archive", "replica", "warehouse"), 10) == []
    assert account.run("select held_for, last_error from pgevents.batch") == [
        (["archive", "replica"], "paused")
    ]


def test_events_of_a_held_batch_are_kept_and_counted_as_not_applied(account: Captured) -> None:
    account.outbox.hold(only(account), ["archive"], False, "paused")
    account.run("select setval('pgevents.outbox_half', 1)")
    account.outbox.rotate()
    assert account.run("select pg_relation_size('pgevents.outbox_1_0') > 0") == [(True,)]
    assert account.run("select pgevents.unapplied_events(pg_current_snapshot())") == [(1,)]
    (held,) = account.outbox.held_batches((), 10)
    assert account.outbox.read(held)
    account.outbox.mark_written(held)
    account.outbox.rotate()
    assert account.run("select pg_relation_size('pgevents.outbox_1_0')") == [(0,)]


def test_a_batch_is_overdue_some_time_after_it_was_forwarded(account: Captured) -> None:
    batch = only(account)
    account.outbox.mark_forwarded(batch)
    assert account.outbox.overdue(60) == []
    time.sleep(0.02)
    assert account.outbox.overdue(0.01) == [batch]
    account.outbox.mark_forwarded(batch)
    assert account.outbox.overdue(0.5) == []


def test_a_batch_that_was_forwarded_in_the_future_is_overdue(account: Captured) -> None:
    batch = only(account)
    account.outbox.mark_forwarded(batch)
    account.run("update pgevents.batch set forwarded_at = clock_timestamp() + interval '1 hour'")
    assert account.outbox.overdue(60) == [batch]
    account.outbox.mark_forwarded(batch)
    assert account.outbox.overdue(60) == []


def test_a_held_batch_that_the_writer_never_confirmed_is_overdue_too(account: Captured) -> None:
    batch = only(account)
    account.outbox.hold(batch, ["archive"], True, "paused")
    time.sleep(0.02)
    assert account.outbox.overdue(0.01) == [batch]
    account.outbox.hold(batch, ["archive", "warehouse"], False, "paused")
    assert account.outbox.overdue(0.0) == []


def test_a_refused_batch_is_opened_again_unless_it_is_applied(account: Captured) -> None:
    batch = only(account)
    account.outbox.mark_forwarded(batch)
    account.outbox.refuse(batch.batch_id, {1: "too long"})
    assert (state(account), account.outbox.refused(batch)) == (["open"], {1: "too long"})
    account.outbox.mark_forwarded(batch)
    account.outbox.mark_applied(batch.batch_id)
    account.outbox.refuse(batch.batch_id, {1: "too long"})
    assert state(account) == ["applied"]


def test_a_batch_that_cannot_be_taken_says_why(account: Captured) -> None:
    account.outbox.note_failure(only(account), "InputError: no such column")
    assert account.run("select attempts, last_error from pgevents.batch") == [
        (1, "InputError: no such column")
    ]


class TestPurge:
    def test_what_was_applied_long_ago_goes_and_the_newest_batch_stays(self, shop: Shop) -> None:
        for number in range(5):
            shop.run("insert into account values (%s)", number)
            shop.drain()
        shop.run("update pgevents.batch set applied_at = applied_at - interval '8 days' where batch_id <> 3")
        shop.sweep()
        assert [row[0] for row in shop.run("select batch_id from pgevents.batch order by 1")] == [3, 5]
        assert shop.run("select events, batches from pgevents.purged") == [(3, 3)]
        shop.run("insert into account values (9)")
        assert shop.drain().events == 1
        assert shop.model() == shop.table()

    def test_what_is_not_applied_stays_for_ever(self, shop: Shop) -> None:
        shop.route("model", "warehouse")
        for number in range(3):
            shop.run("insert into account values (%s)", number)
            shop.drain()
        shop.run("update pgevents.batch set opened_at = opened_at - interval '1 year'")
        shop.captured.outbox.purge(7, 1_000)
        assert len(shop.states()) == 3

    def test_it_takes_bounded_chunks(self, shop: Shop) -> None:
        for number in range(7):
            shop.run("insert into account values (%s)", number)
            shop.drain()
        shop.run("update pgevents.batch set applied_at = applied_at - interval '8 days'")
        left = []
        while shop.captured.outbox.purge(7, 2):
            left.append(len(shop.states()))
        assert left == [5, 3, 1]

    def test_resolved_letters_go_and_waiting_ones_stay(self, shop: Shop) -> None:
        shop.poisoned()
        shop.run("insert into account values (1, 'poison'), (2, 'poison')")
        shop.drain()
        shop.discard(1)
        shop.run("update pgevents.dead_letter set resolved_at = resolved_at - interval '8 days',"
                 " died_at = died_at - interval '8 days' where resolved_at is not null")  # fmt: skip
        shop.sweep()
        assert [letter.seq for letter in shop.letters()] == [2]

    def test_a_resolved_letter_stays_as_long_as_its_batch_may_be_read_again(self, shop: Shop) -> None:
        shop.route("model", "archive")
        shop.run("insert into pgevents.paused (what) values ('archive')")
        shop.poisoned()
        shop.run("insert into account values (1, 'poison'), (2, 'fine')")
        shop.drain()
        shop.discard(1)
        shop.run("update pgevents.dead_letter set resolved_at = resolved_at - interval '8 days'")
        shop.sweep()
        assert len(shop.letters()) == 1
        shop.run("delete from pgevents.paused")
        shop.poisoned()
        shop.drain()
        assert shop.archive.seqs() == [2]
        shop.sweep()
        assert shop.letters() == []
