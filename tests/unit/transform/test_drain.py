"""The drain's order of steps: batches, batches that are overdue, and the last look."""

import threading
from collections.abc import Callable, Iterator

import msgspec
import pytest

from pgevents import on
from pgevents.batch import Batch
from pgevents.config import Drain as Limits
from pgevents.config import Route
from tests.unit.transform.drained import BEGIN, END, Bench, Clock, taken
from tests.unit.transform.routed import TABLE
from transform.delivery import Drained, Rest

pytestmark = pytest.mark.usefixtures("own_registry", "short_pauses")


def test_batch_is_written_to_the_sinks_then_forwarded_then_noted(bench: Bench) -> None:
    bench.outbox.commit(1, 2)
    assert bench.run() == Drained(batches=1, events=2)
    assert bench.steps() == [*BEGIN, *taken(1), *END]
    assert bench.outbox.states == {1: "forwarded"}


def test_nothing_to_do_takes_one_look_before_and_one_after(bench: Bench) -> None:
    assert bench.run() == Drained()
    assert bench.steps() == ["lock", *END]


def test_batches_are_as_large_as_allowed_and_taken_in_order() -> None:
    bench = Bench(limits=Limits(batch_events=2))
    bench.outbox.commit(1, 2, 3, 4, 5)
    assert bench.run() == Drained(batches=3, events=5)
    assert bench.steps() == [*BEGIN, *taken(1), *taken(2), *taken(3), *END]


def test_batch_that_an_earlier_drain_left_open_comes_before_new_ones(bench: Bench) -> None:
    bench.outbox.commit(1)
    bench.run(Clock(1))
    assert bench.outbox.states == {1: "open"}
    bench.steps()
    bench.outbox.commit(2)
    bench.run()
    assert bench.steps() == ["lock", *taken(1), "open batches", *taken(2), *END]


def test_events_that_commit_meanwhile_are_drained_too(bench: Bench) -> None:
    bench.outbox.commit(1)
    write = bench.writer.write

    def write_and_commit(batch: Batch) -> None:
        write(batch)
        if batch.batch_id == 1:
            bench.outbox.commit(2)

    bench.writer.write = write_and_commit  # type: ignore[method-assign]
    assert bench.run().batches == 2
    assert bench.steps() == [*BEGIN, *taken(1), "open batches", *taken(2), *END]


def test_drain_that_finds_another_one_awake_does_nothing(bench: Bench) -> None:
    bench.outbox.commit(1)
    bench.outbox.held_by_another = True
    assert bench.run(overdue_seconds=90) == Drained()
    assert bench.steps() == ["lock"]


def test_sink_gets_only_what_is_routed_to_it() -> None:
    bench = Bench(sinks=("archive", "warehouse"))
    bench.outbox.commit(1)
    bench.run()
    assert bench.steps() == [*BEGIN, "read 1", "archive 1", "forward 1", "forwarded 1", *END]


def test_writer_is_sent_only_what_is_routed_to_a_warehouse(bench: Bench) -> None:
    second = Route(TABLE, ("replica", "archive"), target="other")
    bench.pipeline = msgspec.structs.replace(bench.pipeline, routes=(*bench.pipeline.routes, second))
    bench.outbox.commit(1)
    bench.run()
    assert [table.target for table in bench.writer.given[1][0].tables] == ["account"]
    assert [table.target for table in bench.replica.given[1][0].tables] == ["account", "other"]


def test_batch_without_a_warehouse_is_applied_by_the_drain_itself() -> None:
    bench = Bench(sinks=("replica",))
    bench.outbox.commit(1)
    bench.run()
    assert bench.steps() == [*BEGIN, "read 1", "replica 1", "applied 1", *END]
    assert bench.outbox.states == {1: "applied"}


def test_batch_of_dropped_events_is_applied_and_counted(bench: Bench) -> None:
    on(TABLE, "SNAPSHOT")(lambda event: None)
    bench.outbox.commit(1, 2)
    assert bench.run() == Drained(batches=1, events=2, dropped=2)
    assert bench.steps() == [*BEGIN, "read 1", "applied 1", *END]


def test_archive_finishes_while_the_batch_is_handed_on(bench: Bench) -> None:
    """Each waits until the other has begun, which neither would live to see one after the other."""
    begun = {"archive": threading.Event(), "forward": threading.Event()}

    def meet(mine: str, other: str) -> None:
        begun[mine].set()
        assert begun[other].wait(10), f"{other} had not begun while {mine} was running"

    forward = bench.writer.write

    def forward_and_meet(batch: Batch) -> None:
        forward(batch)
        meet("forward", "archive")

    bench.archive.write = lambda batch: Rest(lambda: meet("archive", "forward"))  # type: ignore[method-assign]
    bench.writer.write = forward_and_meet  # type: ignore[method-assign]
    bench.outbox.commit(1)
    bench.run()
    assert bench.outbox.states == {1: "forwarded"}


class TestOverdueBatches:
    @pytest.fixture
    def bench(self) -> Bench:
        bench = Bench(limits=Limits(batch_events=1, in_flight=2))
        bench.outbox.commit(1, 2)
        bench.run()
        bench.outbox.overdue_ids = {1}
        bench.steps()
        return bench

    def test_sweep_repeats_them_before_anything_new(self, bench: Bench) -> None:
        bench.outbox.states[2] = "applied"
        bench.outbox.commit(3)
        bench.run(overdue_seconds=90)
        assert bench.steps() == ["lock", *taken(1), "open batches", *taken(3), *END]

    def test_they_are_repeated_although_too_many_are_in_flight(self, bench: Bench) -> None:
        bench.run(overdue_seconds=90)
        assert bench.steps() == ["lock", *taken(1), *END]

    def test_the_repeated_batch_is_the_same(self, bench: Bench) -> None:
        bench.run(overdue_seconds=90)
        first, again = (msgspec.json.encode(batch) for batch in bench.writer.given[1])
        assert first == again

    def test_a_doorbell_repeats_nothing(self, bench: Bench) -> None:
        bench.run()
        assert bench.steps() == ["lock", *END]

    def test_a_repeated_batch_is_not_overdue_any_more(self, bench: Bench) -> None:
        bench.outbox.while_waiting = once(lambda: bench.outbox.commit(3))
        bench.outbox.states[2] = "applied"
        bench.run(overdue_seconds=90)
        assert bench.steps().count("forward 1") == 1


def once(act: Callable[[], None]) -> Callable[[], None]:
    left: Iterator[Callable[[], None]] = iter([act])
    return lambda: next(left, lambda: None)()


class TestLastLook:
    def test_event_that_committed_unseen_is_found_after_the_lock_was_let_go(self, bench: Bench) -> None:
        bench.outbox.while_waiting = once(lambda: bench.outbox.commit(1))
        assert bench.run() == Drained(batches=1, events=1)
        assert bench.steps() == ["lock", *END, *BEGIN, *taken(1), *END]

    def test_batch_that_somebody_opened_meanwhile_is_taken(self, bench: Bench) -> None:
        """A replay that an operator asks for, or a batch that Redshift refused."""
        bench.outbox.commit(1)
        bench.run()
        bench.outbox.while_waiting = once(lambda: bench.outbox.states.update({1: "open"}))
        assert bench.run().batches == 1
        assert bench.outbox.states == {1: "forwarded"}

    def test_another_drain_that_woke_meanwhile_has_what_was_found(self, bench: Bench) -> None:
        def wake_another() -> None:
            bench.outbox.commit(1)
            bench.outbox.held_by_another = True

        bench.outbox.while_waiting = wake_another
        assert bench.run() == Drained()
        assert bench.steps() == ["lock", *END, "lock"]

    def test_what_is_found_when_the_time_is_up_is_left_to_the_sweep(self, bench: Bench) -> None:
        bench.outbox.while_waiting = once(lambda: bench.outbox.commit(1))
        assert bench.run(Clock(1)) == Drained()
        assert bench.steps() == ["lock", *END[:-1]]
        assert len(bench.outbox.waiting) == 1
