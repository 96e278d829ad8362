"""Events that die, changes that are refused, and a drain that fails at any of its steps."""

import msgspec
import pytest

from pgevents import ChangeEvent, Record, Version, on, transforms
from pgevents.batch import Batch
from pgevents.config import Drain as Limits
from pgevents.errors import TransientError
from pgevents.refusals import Refusal, RefusedChanges
from tests.unit.transform.drained import BEGIN, END, Bench, Crash, KeepingSink, taken
from tests.unit.transform.routed import TABLE
from transform.delivery import Drained
from transform.source.outbox import LedgerBatch, TableRows

pytestmark = pytest.mark.usefixtures("own_registry", "short_pauses")

POISON = "poison"


def dies_of_poison(event: ChangeEvent) -> Record:
    if event.payload["name"] == POISON:
        raise ValueError("bad row")
    return Record(event.payload)


class TestDeadEvents:
    def test_they_are_kept_before_any_sink_is_written(self, bench: Bench) -> None:
        on(TABLE)(dies_of_poison)
        bench.outbox.commit(1, name=POISON)
        bench.outbox.commit(2, 1)
        assert bench.run() == Drained(batches=1, events=3, dead=2)
        assert bench.steps() == [*BEGIN, "read 1", "bury 1", *taken(1)[1:], *END]
        assert bench.replica.rows == bench.writer.rows == {"2": "Ann"}

    def test_later_batches_wait_with_the_row(self) -> None:
        bench = Bench(limits=Limits(batch_events=1))
        on(TABLE)(dies_of_poison)
        bench.outbox.commit(1, name=POISON)
        bench.outbox.commit(1, 2)
        bench.run()
        assert sorted(bench.outbox.letters) == [1, 2]
        assert bench.replica.rows == {"2": "Ann"}

    def test_batch_whose_every_event_died_is_applied(self, bench: Bench) -> None:
        on(TABLE)(dies_of_poison)
        bench.outbox.commit(1, name=POISON)
        bench.run()
        assert bench.steps() == [*BEGIN, "read 1", "bury 1", "applied 1", *END]


class TestRefusedChanges:
    def test_refused_event_is_kept_and_the_rest_is_written(self, bench: Bench) -> None:
        bench.replica.refuses = lambda change: change.values == ("1", POISON)
        bench.outbox.commit(2)
        bench.outbox.commit(1, name=POISON)
        bench.outbox.commit(1, 3)
        assert bench.run() == Drained(batches=1, events=4, dead=2)
        rest = ["bury 1", "replica 1", "archive 1", "forward 1", "forwarded 1"]
        assert bench.steps() == [*BEGIN, "read 1", "replica 1", *rest, *END]
        assert bench.replica.rows == bench.archive.rows == bench.writer.rows == {"2": "Ann", "3": "Ann"}
        assert {seq: letter.error.split(":")[-1].strip() for seq, letter in bench.outbox.letters.items()} == {
            2: "too long",
            3: "waits behind an earlier event of the same row",
        }

    def test_what_the_next_sink_refuses_is_kept_too(self, bench: Bench) -> None:
        bench.replica.refuses = lambda change: change.version == Version(1, 1).number
        bench.archive.refuses = lambda change: change.version == Version(1, 2).number
        bench.outbox.commit(1, 2, 3)
        bench.run()
        assert sorted(bench.outbox.letters) == [1, 2]
        assert bench.archive.rows == bench.writer.rows == {"3": "Ann"}

    def test_sink_that_refuses_what_is_not_in_the_batch_ends_the_drain(self, bench: Bench) -> None:
        def refuse(batch: Batch) -> None:
            raise RefusedChanges([Refusal("account", {}, Version(1, 77).number, "too long")])

        bench.replica.write = refuse  # type: ignore[method-assign]
        bench.outbox.commit(1)
        with pytest.raises(RefusedChanges):
            bench.run()
        assert not bench.outbox.holds_lock


def test_what_the_writer_refused_is_buried_and_the_rest_forwarded_again(bench: Bench) -> None:
    bench.outbox.commit(1, 2, 3)
    bench.outbox.refused_by_writer = {2: "account (id=2): too long"}

    bench.run()

    assert {seq: dead.error for seq, dead in bench.outbox.letters.items()} == {2: "account (id=2): too long"}
    assert sorted(bench.writer.rows) == ["1", "3"]


class TestFailures:
    def test_source_that_fails_ends_the_drain_with_the_lock_free(self, bench: Bench) -> None:
        def fail(batch: LedgerBatch) -> list[TableRows]:
            raise TransientError("source accounts: connection lost")

        bench.outbox.read = fail  # type: ignore[method-assign]
        bench.outbox.commit(1)
        with pytest.raises(TransientError):
            bench.run()
        assert bench.steps() == [*BEGIN, "unlock"]
        assert bench.outbox.states == {1: "open"}
        assert bench.outbox.failures == {1: "TransientError: source accounts: connection lost"}

    def test_drain_that_fails_between_any_two_steps_loses_nothing_and_repeats_no_effect(self) -> None:
        undisturbed = self.crashed_at(None)
        steps = len(undisturbed.journal.steps)
        assert steps > 20
        for step in range(steps):
            bench = self.crashed_at(step)
            for sink, expected in zip(sinks_of(bench), sinks_of(undisturbed), strict=True):
                assert sink.rows == expected.rows, f"{sink.name} after a crash at step {step}"
                assert all(
                    len(set(map(msgspec.json.encode, batches))) == 1 for batches in sink.given.values()
                )
            assert set(bench.outbox.states.values()) <= {"forwarded", "applied"}
            assert sorted(bench.outbox.letters) == sorted(undisturbed.outbox.letters) == [3, 5, 6]

    @staticmethod
    def crashed_at(step: int | None) -> Bench:
        """A bench that has drained a poisoned history of two batches, after a crash at this step, if any."""
        transforms.forget()
        on(TABLE)(dies_of_poison)
        bench = Bench(limits=Limits(batch_events=4))
        bench.replica.refuses = lambda change: change.values == ("6", "refused")
        bench.outbox.commit(1, 2)
        bench.outbox.commit(2, name=POISON)
        bench.outbox.commit(3, 2)
        bench.outbox.commit(6, name="refused")
        bench.outbox.commit(1, name="later")
        bench.outbox.commit(7)
        if step is not None:
            bench.journal.crash_at = step
            with pytest.raises(Crash):
                bench.run()
            bench.outbox.holds_lock = False  # the lock ends with its session
        bench.run()
        return bench


def sinks_of(bench: Bench) -> list[KeepingSink]:
    return [bench.replica, bench.archive, bench.writer]
