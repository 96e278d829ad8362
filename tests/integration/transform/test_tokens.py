"""What sinks say that they hold, compared with the ledger: a lost batch is noticed, and nothing else is."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgevents.identity import BatchIdentity
from tests.integration.db_triggers.captured import Captured
from transform.answers import Applied, Failed, Refused, RefusedChange, Replaced, note
from transform.source.captured import LedgerBatch

SECOND = timedelta(seconds=1)


@pytest.fixture
def account(captured: Captured) -> Captured:
    captured.run("create table account (id int primary key, n int not null default 0)")
    captured.install("public.account")
    return captured


def open_batches(captured: Captured, count: int) -> list[LedgerBatch]:
    """So many more batches, of one event each, that nobody has taken."""
    before = {batch.batch_id for batch in captured.outbox.open()}
    for _ in range(count):
        captured.run("insert into account values (1) on conflict (id) do update set n = account.n + 1")
        captured.outbox.open_batches(10)
    return [batch for batch in captured.outbox.open() if batch.batch_id not in before]


def token(batch: LedgerBatch, **changed: Any) -> BatchIdentity:
    """What a sink that has taken the batch says of it."""
    return BatchIdentity(
        **{"epoch": batch.epoch, "batch_id": batch.batch_id, "opened_at": batch.opened_at, **changed}
    )


def epochs(captured: Captured) -> dict[int, int]:
    """Each batch's epoch."""
    return dict(captured.run("select batch_id, epoch from pgevents.batch order by 1"))


def forward(captured: Captured, batch: LedgerBatch) -> None:
    captured.outbox.mark_forwarded(batch)


class TestFalseAlarms:
    def test_batch_of_the_ledger_is_known(self, account: Captured) -> None:
        [first, second] = open_batches(account, 2)
        assert not account.outbox.note_token("replica", token(first))
        assert not account.outbox.note_token("replica", token(second))
        assert account.outbox.renew_epoch() is None

    def test_token_from_before_the_time_was_kept_is_believed(self, account: Captured) -> None:
        [batch] = open_batches(account, 1)
        assert not account.outbox.note_token("replica", token(batch, opened_at=None))

    def test_batch_that_the_ledger_was_purged_of_is_no_lost_one(self, account: Captured) -> None:
        [old, newest] = open_batches(account, 2)
        for batch in (old, newest):
            account.outbox.mark_written(batch)
        account.run("update pgevents.batch set applied_at = applied_at - interval '8 days'")
        account.outbox.purge(7, 100)
        assert list(epochs(account)) == [newest.batch_id]
        assert not account.outbox.note_token("replica", token(old))
        assert not account.outbox.note_token("replica", token(newest))

    def test_batch_that_a_sink_took_before_it_came_to_another_epoch_is_known(self, account: Captured) -> None:
        """One sink had it, another had not, when a new epoch began."""
        [batch] = open_batches(account, 1)
        account.run("select pgevents.begin_epoch('a restore', %s)", batch.batch_id)
        assert epochs(account) == {batch.batch_id: 2}
        assert not account.outbox.note_token("replica", token(batch))
        assert not account.outbox.note_token("replica", token(batch, epoch=2))

    def test_late_event_of_a_lost_history_says_nothing_new_once_an_epoch_has_begun(
        self, account: Captured
    ) -> None:
        [batch] = open_batches(account, 1)
        lost = token(batch, batch_id=batch.batch_id + 50)
        assert account.outbox.note_token("warehouse", lost)
        assert account.outbox.renew_epoch() is not None
        for late in (lost, token(batch, batch_id=batch.batch_id + 49)):
            assert not account.outbox.note_token("warehouse", late)
        assert account.outbox.renew_epoch() is None
        assert account.run("select max(epoch) from pgevents.epoch") == [(2,)]

    def test_two_sinks_that_tell_the_same_begin_one_epoch(self, account: Captured) -> None:
        [batch] = open_batches(account, 1)
        for sink, ahead in (("replica", 9), ("warehouse", 12), ("other", 12)):
            assert account.outbox.note_token(sink, token(batch, batch_id=batch.batch_id + ahead))
        assert account.outbox.renew_epoch() is not None
        assert account.run("select max(epoch) from pgevents.epoch") == [(2,)]


class TestLostBatches:
    def test_what_was_opened_after_the_restore_comes_to_the_new_epoch_and_nothing_else(
        self, account: Captured
    ) -> None:
        """The sink holds a later batch; between it and the restore lie batches that it was not sent."""
        [shared] = open_batches(account, 1)
        opened_when_lost = account.run("select clock_timestamp()")[0][0]
        [second, third] = open_batches(account, 2)
        lost = token(third, batch_id=third.batch_id + 7, opened_at=opened_when_lost)
        assert account.outbox.note_token("replica", lost)
        account.outbox.renew_epoch()
        assert epochs(account) == {shared.batch_id: 1, second.batch_id: 2, third.batch_id: 2}

    def test_same_number_opened_at_another_time_is_lost(self, account: Captured) -> None:
        [shared, other] = open_batches(account, 2)
        assert account.outbox.note_token("replica", token(other, opened_at=other.opened_at - SECOND / 10**6))
        account.outbox.renew_epoch()
        assert epochs(account) == {shared.batch_id: 1, other.batch_id: 2}

    def test_epoch_that_the_source_has_forgotten_is_passed(self, account: Captured) -> None:
        """Restored to before two earlier restores."""
        [batch] = open_batches(account, 1)
        assert account.outbox.note_token("replica", token(batch, epoch=3))
        account.outbox.renew_epoch()
        assert account.run("select epoch from pgevents.setting") == [(4,)]

    def test_batch_of_a_forgotten_epoch_is_noticed_although_its_number_was_used_before(
        self, account: Captured
    ) -> None:
        """Restored twice to one backup: the first time it went to epoch 2 earlier than the second time."""
        [batch] = open_batches(account, 1)
        account.outbox.mark_written(batch)
        account.run("select pgevents.begin_epoch('the second restore', null)")
        [later] = open_batches(account, 1)
        assert (batch.epoch, later.epoch) == (1, 2)
        lost = token(batch, epoch=2, opened_at=batch.opened_at - SECOND)
        assert account.outbox.note_token("replica", lost)
        account.outbox.renew_epoch()
        assert epochs(account)[later.batch_id] == 3


class TestAnswersOfTheWriter:
    @pytest.fixture
    def batch(self, account: Captured) -> LedgerBatch:
        [batch] = open_batches(account, 1)
        forward(account, batch)
        return batch

    def told(self, batch: LedgerBatch, **changed: Any) -> dict[str, Any]:
        return {
            "source": "shop", "batch_id": batch.batch_id, "epoch": batch.epoch, "opened_at": batch.opened_at,
            **changed,
        }  # fmt: skip

    def applied(self, batch: LedgerBatch, newest: BatchIdentity | None = None, **changed: Any) -> Applied:
        return Applied(**self.told(batch, **changed), applied_at=datetime.now(UTC), newest=newest)

    def state(self, captured: Captured, batch: LedgerBatch) -> str:
        return str(captured.run("select state from pgevents.batch where batch_id = %s", batch.batch_id)[0][0])

    def test_batch_is_applied_when_what_was_there_before_is_known(
        self, account: Captured, batch: LedgerBatch
    ) -> None:
        assert note(account.outbox, "warehouse", self.applied(batch, token(batch)))["first"]
        assert self.state(account, batch) == "applied"

    def test_batch_that_was_applied_beside_a_lost_one_is_sent_again_in_the_new_epoch(
        self, account: Captured, batch: LedgerBatch
    ) -> None:
        newest = token(batch, batch_id=batch.batch_id + 9, opened_at=batch.opened_at - SECOND)
        assert "lost" in note(account.outbox, "warehouse", self.applied(batch, newest))
        assert self.state(account, batch) == "forwarded"
        account.outbox.renew_epoch()
        assert (self.state(account, batch), epochs(account)[batch.batch_id]) == ("open", 2)
        # The same answer once more, late: nothing is noted any more, and it is not this batch's.
        assert not note(account.outbox, "warehouse", self.applied(batch, newest))["first"]
        assert self.state(account, batch) == "open"
        assert account.outbox.renew_epoch() is None

    def test_answer_about_a_batch_that_was_lost_is_noticed(
        self, account: Captured, batch: LedgerBatch
    ) -> None:
        answer = self.applied(batch, batch_id=batch.batch_id + 1)
        assert "lost" in note(account.outbox, "warehouse", answer)
        assert account.outbox.renew_epoch() is not None

    def test_batch_that_contradicts_what_redshift_holds_begins_an_epoch_in_the_next_drain_only(
        self, account: Captured, batch: LedgerBatch
    ) -> None:
        found = token(batch, opened_at=batch.opened_at - SECOND)
        for _ in range(2):  # delivered twice
            assert note(account.outbox, "warehouse", Replaced(**self.told(batch), found=found))["lost"]
        assert epochs(account) == {batch.batch_id: 1}
        account.outbox.renew_epoch()
        assert epochs(account) == {batch.batch_id: 2}
        assert note(account.outbox, "warehouse", Replaced(**self.told(batch), found=found))["lost"] is None
        assert account.outbox.renew_epoch() is None

    def test_lost_batch_that_met_one_of_ours_is_noticed_by_itself(
        self, account: Captured, batch: LedgerBatch
    ) -> None:
        """An event of the lost history arrives late, when its number has been taken anew."""
        answer = Replaced(**self.told(batch, opened_at=batch.opened_at - SECOND), found=token(batch))
        assert note(account.outbox, "warehouse", answer)["lost"]

    def test_failure_is_noted_and_the_batch_stays_to_be_sent_again(
        self, account: Captured, batch: LedgerBatch
    ) -> None:
        note(account.outbox, "warehouse", Failed(**self.told(batch), error="no single change is why"))
        assert account.run("select state, last_error from pgevents.batch") == [
            ("forwarded", "warehouse: no single change is why")
        ]
        account.outbox.note_answer(batch.batch_id, "of another", epoch=7)
        assert "another" not in account.run("select last_error from pgevents.batch")[0][0]
        forward(account, batch)
        assert account.run("select last_error from pgevents.batch") == [("",)]

    def test_refusals_open_the_batch_again(self, account: Captured, batch: LedgerBatch) -> None:
        refused = Refused(**self.told(batch), refused=[RefusedChange((1 << 48) + 1, "too odd")])
        assert note(account.outbox, "warehouse", refused)["refused"] == 1
        assert self.state(account, batch) == "open"
        assert account.outbox.refused(batch) == {1: "too odd"}


def test_new_connection_to_the_source_asks_the_sinks_before_anything_is_written(account: Captured) -> None:
    """A copy of its files tells nothing from inside; a sweep would ask only later."""
    from transform.drain import Drain

    [batch] = open_batches(account, 1)
    lost = token(batch, batch_id=batch.batch_id + 3, opened_at=batch.opened_at - SECOND)
    written: list[int] = []
    for is_new in (False, True):
        drain = Drain(
            account.pipeline, account.outbox, {"model": lambda each: written.append(each.epoch)},
            written.append, lambda: False, newest={"model": lambda source: lost}, is_new_source=is_new,
        )  # fmt: skip
        account.run("insert into account values (99) on conflict (id) do update set n = account.n + 1")
        drain.run()
    assert written[0] == 1
    assert set(written[2:]) == {2}
