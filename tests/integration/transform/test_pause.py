"""Pauses and failing sinks on a real database: who waits, who goes on, and how all of them meet again."""

import threading
import time

import pytest

from pgevents.batch import Batch
from pgevents.config import Drain as Limits
from pgevents.errors import TransientError
from tests.integration.db_triggers.captured import NAME, Captured
from tests.integration.transform.letters import Shop
from transform import taking
from transform.source.outbox import Outbox


def pause(shop: Shop, what: str) -> None:
    shop.run("insert into pgevents.paused (what, paused_by) values (%s, 'ann') on conflict do nothing", what)


def resume(shop: Shop) -> None:
    shop.run("delete from pgevents.paused")


def insert(shop: Shop, *ids: int) -> None:
    for row_id in ids:
        shop.run("insert into account values (%s, 'x')", row_id)


def fail(batch: Batch) -> None:
    raise TransientError("cannot reach the sink")


class TestPausedSink:
    def test_others_go_on_and_it_gets_everything_when_it_is_resumed(self, shop: Shop) -> None:
        shop.route("model", "archive", "warehouse")
        pause(shop, "archive")
        for number in range(1, 6):
            insert(shop, number)
            assert shop.drain().held == 1
            shop.confirm()
        assert shop.model() == shop.table()
        assert shop.archive.versions == {}
        assert {state for _, state in shop.states()} == {"held"}
        resume(shop)
        shop.drain()
        assert shop.archive.seqs() == [1, 2, 3, 4, 5]
        assert {state for _, state in shop.states()} == {"applied"}
        assert len(shop.forwarded) == 5, "what Redshift has confirmed is not sent to it again"

    def test_paused_warehouse_is_sent_nothing_and_later_everything_within_its_limit(self, shop: Shop) -> None:
        shop.route("model", "warehouse")
        pause(shop, "warehouse")
        for number in range(1, 11):
            insert(shop, number)
            shop.drain()
        assert (shop.forwarded, shop.captured.outbox.standing().in_flight) == ([], 0)
        resume(shop)
        most_in_flight = []

        def forward(batch: Batch) -> None:
            shop.forwarded.append(batch)
            most_in_flight.append(shop.captured.outbox.standing().in_flight)
            if len(shop.forwarded) % 3 == 0:
                shop.confirm()

        shop.forward = forward
        shop.drain()
        assert len({batch.batch_id for batch in shop.forwarded}) == 10
        assert max(most_in_flight) < shop.limits.in_flight

    def test_answer_that_comes_while_it_is_paused_is_kept(self, shop: Shop) -> None:
        """Forwarded, then paused, then taken again by a sweep, then confirmed."""
        shop.route("model", "warehouse")
        insert(shop, 1)
        shop.drain()
        pause(shop, "warehouse")
        shop.new_drain().run(overdue_seconds=0)
        assert shop.states() == [("window", "held")]
        shop.confirm()
        resume(shop)
        shop.drain()
        assert (shop.states(), len(shop.forwarded)) == ([("window", "applied")], 1)

    def test_resume_while_a_drain_holds_batches_for_it_leaves_none_behind(self, shop: Shop) -> None:
        shop.route("model", "archive")
        pause(shop, "archive")
        done = threading.Event()

        def drain() -> None:
            outbox = Outbox(NAME, shop.captured.lambda_connection())
            while not done.is_set():
                shop.new_drain(outbox).run()

        draining = threading.Thread(target=drain)
        draining.start()
        for number in range(1, 60):
            insert(shop, number)
            if number % 10 == 0:
                resume(shop)
            elif number % 10 == 5:
                pause(shop, "archive")
        resume(shop)
        done.set()
        draining.join()
        shop.drain()
        assert shop.archive.seqs() == list(range(1, 60))
        assert {state for _, state in shop.states()} == {"applied"}

    def test_sink_that_is_gone_from_the_routes_is_waited_for_no_more(self, shop: Shop) -> None:
        shop.route("model", "archive")
        pause(shop, "archive")
        insert(shop, 1)
        shop.drain()
        shop.route("model")
        resume(shop)
        shop.drain()
        assert shop.states() == [("window", "applied")]


class TestPausedSource:
    def test_nothing_is_drained_and_no_bell_rings_until_it_is_resumed(
        self, captured: Captured, shop: Shop
    ) -> None:
        captured.install("public.account", doorbell="notify")
        shop.route("model")
        listener = captured.connect()
        listener.execute("listen pgevents_doorbell")
        pause(shop, "source")
        insert(shop, 1)
        assert list(listener.notifies(timeout=0.2)) == []
        assert (shop.drain().batches, shop.sweep().batches, shop.model()) == (0, 0, {})
        resume(shop)
        captured.reader.execute("select pgevents.wake_drain()")
        assert len(list(listener.notifies(timeout=0.2))) == 1
        shop.drain()
        assert shop.model() == {1: "x"}

    def test_drain_lets_go_after_the_batch_that_it_is_in(self, shop: Shop) -> None:
        shop.captured.outbox.open_batches(1)
        insert(shop, 1, 2, 3)
        shop.captured.outbox.open_batches(1)
        apply = shop.writers["model"]

        def apply_and_pause(batch: Batch) -> None:
            apply(batch)
            pause(shop, "source")

        shop.writers["model"] = apply_and_pause
        shop.drain()
        assert len(shop.model()) == 1
        shop.writers["model"] = apply
        resume(shop)
        shop.drain()
        assert len(shop.model()) == 3


class TestFailingSink:
    def test_ten_thousand_batches_reach_the_others_while_it_fails_and_it_when_it_is_back(
        self, captured: Captured
    ) -> None:
        """In batches of one event, so that it is as many as ten thousand large ones would be to the ledger."""
        batches = 2_000
        shop = Shop(captured, Limits(batch_events=1, in_flight=4))
        shop.route("model", "archive")
        tried = []

        def fail_and_count(batch: Batch) -> None:
            tried.append(batch.batch_id)
            fail(batch)

        shop.writers["archive"] = fail_and_count
        shop.run("insert into account select g, 'x' from generate_series(1, %s) as g", batches)
        with pytest.raises(TransientError, match="cannot reach the sink"):
            shop.drain()
        assert len(shop.model()) == batches
        assert len(tried) <= 1 + 60 / 30 * 4, "tried again every half minute at most"
        assert shop.run("select count(*) from pgevents.batch where state = 'held'") == [(batches,)]
        shop.writers["archive"] = shop.archive.write
        shop.drain()
        assert len(shop.archive.seqs()) == batches
        assert shop.run("select distinct state, held_for, last_error from pgevents.batch") == [
            ("applied", [], "")
        ]

    def test_it_says_why_in_the_ledger(self, shop: Shop) -> None:
        shop.route("model", "archive")
        shop.writers["archive"] = fail
        insert(shop, 1)
        for _ in range(3):
            with pytest.raises(TransientError):
                shop.drain()
        assert shop.run("select state, held_for, attempts, last_error from pgevents.batch") == [
            ("held", ["archive"], 3, "archive: TransientError: cannot reach the sink")
        ]

    def test_redshift_that_confirms_nothing_bounds_what_is_sent_to_it_and_stops_nobody(
        self, captured: Captured, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(taking, "PATIENCE_SECONDS", 0.1)
        shop = Shop(captured, Limits(batch_events=1, in_flight=4))
        shop.route("model", "archive", "warehouse")
        shop.run("insert into account select g, 'x' from generate_series(1, 200) as g")
        shop.drain()
        assert len(shop.model()) == len(shop.archive.seqs()) == 200
        assert (len(shop.forwarded), captured.outbox.standing().in_flight) == (4, 4)
        for _ in range(3):
            insert(shop, len(shop.table()) + 1)
            shop.drain()
        assert len(shop.forwarded) == 4
        forward = shop.forward

        def forward_and_confirm(batch: Batch) -> None:
            forward(batch)
            shop.forwarded[:] = [batch]
            shop.confirm()

        shop.confirm()
        shop.forward = forward_and_confirm
        shop.drain()
        assert {state for _, state in shop.states()} == {"applied"}

    def test_both_fail_in_turn_and_every_batch_gets_to_both(self, shop: Shop) -> None:
        shop.route("model", "archive", "warehouse")
        archive, forward = shop.writers["archive"], shop.forward
        for number in range(1, 13):
            insert(shop, number)
            shop.writers["archive"] = fail if number % 3 == 0 else archive
            shop.forward = fail if number % 2 == 0 else forward
            try:
                shop.drain()
            except TransientError:
                assert number % 2 == 0 or number % 3 == 0
            shop.confirm()
        shop.writers["archive"], shop.forward = archive, forward
        shop.drain()
        shop.confirm()
        shop.drain()
        assert shop.archive.seqs() == list(range(1, 13))
        assert {batch.batch_id for batch in shop.forwarded} == set(range(1, 13))
        assert {state for _, state in shop.states()} == {"applied"}

    def test_batch_that_it_never_takes_keeps_no_other_from_it(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shop.route("model", "archive")

        def fail_for_the_second(batch: Batch) -> None:
            if batch.batch_id == 2:
                fail(batch)
            shop.archive.write(batch)

        shop.writers["archive"] = fail_for_the_second
        for number in range(1, 9):
            insert(shop, number)
        shop.captured.outbox.open_batches(1)
        for _ in range(3):
            with pytest.raises(TransientError):
                shop.drain()
        assert shop.archive.seqs() == [1, 3, 4, 5, 6, 7, 8]
        assert [state for _, state in shop.states()].count("held") == 1

    def test_sink_that_hangs_slows_each_drain_once(self, shop: Shop) -> None:
        shop.route("model", "archive")
        slow = 0.3

        def hang(batch: Batch) -> None:
            time.sleep(slow)
            fail(batch)

        shop.writers["archive"] = hang
        shop.captured.outbox.open_batches(1)
        insert(shop, *range(1, 21))
        began = time.monotonic()
        with pytest.raises(TransientError):
            shop.drain()
        assert time.monotonic() - began < slow * 20 / 2
        assert len(shop.model()) == 20
