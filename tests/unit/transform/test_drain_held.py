"""Batches that a sink could not take: they are held for it, and brought to it later."""

import pytest

from pgevents.batch import Batch
from pgevents.config import Drain as Limits
from pgevents.errors import TransientError
from tests.unit.transform.drained import END, Bench
from transform import drain as drain_module
from transform import left_out, taking
from transform.delivery import Drained, Rest

pytestmark = pytest.mark.usefixtures("own_registry", "short_pauses")


def fails(batch: Batch) -> None:
    raise TransientError("cannot reach the sink")


class TestHeldBatches:
    """A sink that is paused or fails, and what the others get meanwhile."""

    @pytest.fixture
    def bench(self) -> Bench:
        bench = Bench(limits=Limits(batch_events=1))
        bench.outbox.commit(1, 2, 3)
        return bench

    def test_failing_sink_is_tried_once_and_the_others_get_everything(self, bench: Bench) -> None:
        tried: list[int] = []

        def fail(batch: Batch) -> None:
            tried.append(batch.batch_id)
            fails(batch)

        bench.archive.write = fail  # type: ignore[method-assign]
        with pytest.raises(TransientError, match="cannot reach the sink"):
            bench.run()
        assert tried == [1]
        assert bench.outbox.states == {1: "held", 2: "held", 3: "held"}
        assert bench.outbox.held_for == {1: {"archive"}, 2: {"archive"}, 3: {"archive"}}
        assert sorted(bench.replica.rows) == sorted(bench.writer.rows) == ["1", "2", "3"]
        assert bench.steps()[-5:] == END

    def test_next_drain_takes_what_is_held_to_the_sink_that_is_back(self, bench: Bench) -> None:
        write, bench.archive.write = bench.archive.write, fails  # type: ignore[method-assign]
        with pytest.raises(TransientError):
            bench.run()
        bench.archive.write = write  # type: ignore[method-assign]
        assert bench.run().held == 0
        assert bench.outbox.states == {1: "forwarded", 2: "forwarded", 3: "forwarded"}
        assert sorted(bench.archive.rows) == ["1", "2", "3"]

    def test_new_batches_are_taken_between_those_that_were_held(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(drain_module, "_HELD_AT_ONCE", 2)
        bench = Bench(limits=Limits(batch_events=1))
        bench.outbox.pauses = {"archive"}
        bench.outbox.commit(1, 2, 3, 4, 5)
        bench.run()
        bench.outbox.pauses = set()
        bench.outbox.commit(6)
        bench.steps()
        bench.run()
        assert [step for step in bench.steps() if step.startswith("read")] == [
            f"read {batch_id}" for batch_id in (1, 2, 6, 3, 4, 5)
        ]

    def test_paused_sink_is_left_alone_and_no_failure(self, bench: Bench) -> None:
        bench.outbox.pauses = {"archive"}
        assert bench.run() == Drained(batches=3, events=3, held=3)
        assert bench.archive.given == {}
        assert sorted(bench.replica.rows) == ["1", "2", "3"]
        assert bench.run() == Drained()

    def test_paused_warehouse_is_not_forwarded_to_and_flies_nothing(self, bench: Bench) -> None:
        bench.outbox.pauses = {"warehouse"}
        assert bench.run().held == 3
        assert bench.writer.given == {}
        assert bench.outbox.in_flight() == 0
        bench.outbox.pauses = set()
        bench.run()
        assert bench.outbox.states == {1: "forwarded", 2: "forwarded", 3: "forwarded"}

    def test_failing_forward_holds_the_batch_for_the_warehouse(self, bench: Bench) -> None:
        bench.writer.write = fails  # type: ignore[method-assign]
        with pytest.raises(TransientError):
            bench.run()
        assert bench.outbox.held_for == {1: {"warehouse"}, 2: {"warehouse"}, 3: {"warehouse"}}
        assert sorted(bench.archive.rows) == ["1", "2", "3"]

    def test_pause_in_the_middle_of_a_batch_counts_from_the_next_batch_on(self, bench: Bench) -> None:
        write = bench.replica.write

        def write_and_pause(batch: Batch) -> None:
            write(batch)
            bench.outbox.pauses = {"archive"}

        bench.replica.write = write_and_pause  # type: ignore[method-assign]
        bench.run()
        assert bench.outbox.states == {1: "forwarded", 2: "held", 3: "held"}
        assert list(bench.archive.given) == [1]

    def test_source_that_is_paused_is_let_go_of_at_once(self, bench: Bench) -> None:
        bench.outbox.pauses = {"source"}
        assert bench.run(overdue_seconds=0) == Drained()
        assert bench.steps() == ["lock", "rotate", "unlock"]

    def test_source_that_is_paused_during_a_drain_is_let_go_of_after_the_batch(self, bench: Bench) -> None:
        write = bench.writer.write

        def write_and_pause(batch: Batch) -> None:
            write(batch)
            bench.outbox.pauses = {"source"}

        bench.writer.write = write_and_pause  # type: ignore[method-assign]
        assert bench.run().batches == 1
        assert bench.outbox.states == {1: "forwarded", 2: "open", 3: "open"}

    def test_batch_that_redshift_confirmed_is_not_forwarded_again(self, bench: Bench) -> None:
        bench.outbox.pauses = {"archive"}
        bench.run()
        bench.outbox.confirmed = {1, 2}
        bench.outbox.pauses = set()
        bench.run()
        assert {batch_id: len(batches) for batch_id, batches in bench.writer.given.items()} == {
            1: 1,
            2: 1,
            3: 2,
        }
        assert bench.outbox.states == {1: "applied", 2: "applied", 3: "forwarded"}

    def test_writer_that_confirms_nothing_stops_nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(taking, "PATIENCE_SECONDS", 0.05)
        bench = Bench(limits=Limits(batch_events=1, in_flight=2))
        bench.outbox.commit(*range(1, 8))
        assert bench.run().held == 5
        assert list(bench.outbox.states.values()) == ["forwarded"] * 2 + ["held"] * 5
        assert len(bench.writer.given) == 2
        assert len(bench.archive.rows) == 7

    def test_writer_that_is_slow_is_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(taking, "PATIENCE_SECONDS", 0.2)
        bench = Bench(limits=Limits(batch_events=1, in_flight=2))
        bench.outbox.commit(*range(1, 8))
        count, asked = bench.outbox.in_flight, iter(range(10_000))

        def confirm_now_and_then() -> int:
            flying = [batch_id for batch_id, state in bench.outbox.states.items() if state == "forwarded"]
            if next(asked) % 20 == 19 and flying:
                bench.outbox.states[flying[0]] = "applied"
            return count()

        bench.outbox.in_flight = confirm_now_and_then  # type: ignore[method-assign]
        assert bench.run().held == 0

    def test_writer_that_confirms_nothing_is_sent_again_what_is_overdue(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(taking, "PATIENCE_SECONDS", 0.05)
        bench = Bench(limits=Limits(batch_events=1, in_flight=2))
        bench.outbox.commit(1, 2, 3)
        bench.outbox.overdue = lambda seconds: bench.outbox._in_state("forwarded")[:1]  # type: ignore[method-assign]
        bench.run()
        assert {batch_id: len(batches) for batch_id, batches in bench.writer.given.items()} == {1: 2, 2: 1}

    def test_sink_that_comes_back_during_a_drain_is_no_failure_of_it(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(left_out, "_REST_SECONDS", 0.0)
        write, left = bench.archive.write, iter([fails])
        bench.archive.write = lambda batch: next(left, write)(batch)  # type: ignore[method-assign]
        assert bench.run() == Drained(batches=4, events=4, held=1)
        assert sorted(bench.archive.rows) == ["1", "2", "3"]


def test_batch_waits_for_an_archive_that_could_not_finish(bench: Bench) -> None:
    def fail() -> None:
        raise TransientError("no bucket")

    bench.archive.write = lambda batch: Rest(fail)  # type: ignore[method-assign]
    bench.outbox.commit(1)
    with pytest.raises(TransientError, match="no bucket"):
        bench.run()
    assert bench.outbox.states == {1: "held"}
    assert bench.outbox.held_for == {1: {"archive"}}
    assert list(bench.writer.given) == [1]
