"""How long a drain gathers, holds back and looks on, and that it lets go when its time is up."""

import msgspec
import pytest

from pgevents.config import Drain as Limits
from tests.unit.transform.drained import BEGIN, END, Bench, Clock, LedgerOutbox, taken
from transform import drain as drain_module
from transform import gathering
from transform.delivery import Drained
from transform.source.ledger import Standing

pytestmark = pytest.mark.usefixtures("own_registry", "short_pauses")


class TestGathering:
    def test_events_gather_while_the_writer_has_enough_to_do(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two batches are under way: what commits until one is applied makes one batch, not three."""
        monkeypatch.setattr(gathering, "_SECONDS", 30.0)
        looks = iter(range(5))
        standing = bench.outbox.standing

        def look_and_commit() -> Standing:
            if bench.outbox.in_flight() == 2 and (look := next(looks, None)) is not None:
                if look < 3:
                    bench.outbox.commit(10 + look)
                else:
                    bench.outbox.states[look - 2] = "applied"
            return standing()

        bench.outbox.standing = look_and_commit  # type: ignore[method-assign]
        bench.pipeline = msgspec.structs.replace(bench.pipeline, drain=Limits(batch_events=5))
        bench.outbox.commit(1, 2, 3, 4, 5, 6)
        assert bench.run() == Drained(batches=3, events=9)

    def test_writer_that_confirms_nothing_is_not_waited_for_longer(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gathering, "_SECONDS", 0.01)
        bench.pipeline = msgspec.structs.replace(bench.pipeline, drain=Limits(batch_events=1))
        bench.outbox.commit(1, 2, 3)
        assert bench.run().batches == 3
        bench.outbox.commit(4)
        assert bench.run().batches == 1


class TestBackPressure:
    def test_drain_holds_back_until_the_writer_has_caught_up(self) -> None:
        bench = Bench(limits=Limits(batch_events=1, in_flight=2))
        bench.outbox.commit(1, 2, 3)
        asked: list[int] = []

        def acknowledge_after_a_while() -> bool:
            asked.append(bench.outbox.in_flight())
            if len(asked) == 8:
                bench.outbox.states[1] = "applied"
            return False

        clock = Clock()
        clock.out_of_time = acknowledge_after_a_while  # type: ignore[method-assign]
        assert bench.run(clock).batches == 3
        assert max(asked) == 2
        assert bench.outbox.states == {1: "applied", 2: "forwarded", 3: "forwarded"}

    def test_drain_whose_time_is_up_leaves_the_rest_open(self) -> None:
        bench = Bench(limits=Limits(batch_events=1, in_flight=2))
        bench.outbox.commit(1, 2, 3)
        assert bench.run(Clock(10)).batches == 2
        assert bench.outbox.states == {1: "forwarded", 2: "forwarded", 3: "open"}
        assert bench.steps() == [*BEGIN, *taken(1), *taken(2), "rotate", "unlock"]

    def test_next_drain_goes_on_where_the_last_one_let_go(self) -> None:
        bench = Bench(limits=Limits(batch_events=1, in_flight=2))
        bench.outbox.commit(1, 2, 3)
        bench.run(Clock(10))
        bench.steps()
        bench.outbox.states |= {1: "applied", 2: "applied"}
        assert bench.run().batches == 1
        assert bench.steps() == ["lock", *taken(3), *END]


class TestTimeIsUp:
    def test_no_batch_is_begun_and_the_lock_is_let_go(self, bench: Bench) -> None:
        bench.outbox.commit(1)
        assert bench.run(Clock(0)) == Drained()
        assert bench.steps() == ["lock", "rotate", "unlock"]

    def test_rest_of_the_batches_stays_open(self) -> None:
        bench = Bench(limits=Limits(batch_events=1))
        bench.outbox.commit(1, 2, 3)
        assert bench.run(Clock(2)).batches == 1
        assert bench.outbox.states == {1: "forwarded", 2: "open", 3: "open"}
        assert not bench.outbox.holds_lock

    def test_overdue_batches_are_not_begun_either(self, bench: Bench) -> None:
        bench.outbox.commit(1)
        bench.run()
        bench.outbox.overdue_ids = {1}
        bench.steps()
        bench.run(Clock(0), overdue_seconds=90)
        assert bench.steps() == ["lock", "rotate", "unlock"]


def test_drain_looks_on_for_a_moment_after_its_last_batch(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "_LINGER_SECONDS", 30.0)
    late = iter([(), (), (2,)])
    bench.outbox.commit(1)

    def commit_late(batch_events: int, batch_bytes: int, most_shards: int) -> int:
        if bench.outbox.states:
            if (ids := next(late, None)) is None:
                monkeypatch.setattr(drain_module, "_LINGER_SECONDS", 0.0)
            elif ids:
                bench.outbox.commit(*ids)
        return LedgerOutbox.open_batches(bench.outbox, batch_events, batch_bytes, most_shards)

    bench.outbox.open_batches = commit_late  # type: ignore[method-assign]
    assert bench.run().batches == 2
    steps = bench.steps()
    assert steps.count("unlock") == 1
    assert steps.index("read 2") < steps.index("unlock")


def test_drain_that_stays_awake_forwards_again_what_was_lost(bench: Bench) -> None:
    """Events keep it awake, so that no sweep comes by: the writer has lost the first batch."""
    bench.pipeline = msgspec.structs.replace(bench.pipeline, drain=Limits(batch_events=1))
    bench.outbox.commit(1)
    bench.run()
    bench.outbox.overdue_ids = {1}
    bench.outbox.commit(2)
    bench.run()
    assert len(bench.writer.given[1]) == 1
    bench.outbox.commit(3)
    bench.run(stalled_seconds=0.0)
    assert [len(bench.writer.given[batch_id]) for batch_id in (1, 2, 3)] == [2, 1, 1]
