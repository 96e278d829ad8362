"""The drain's order of steps, over an outbox that keeps its ledger in memory; any step can be let fail."""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime
from typing import cast

import msgspec
import pytest

from pgevents import ChangeEvent, Record, Version, on, transforms
from pgevents.batch import Batch, Change
from pgevents.config import Drain as Limits
from pgevents.config import Pipeline, PostgresSink, RedshiftSink, Route, S3Sink, Source, Table
from pgevents.errors import TransientError
from pgevents.refusals import Refusal, RefusedChanges
from transform import drain as drain_module
from transform import left_out
from transform.delivery import Rest
from transform.drain import Drain, Drained
from transform.source.ledger import Standing
from transform.source.outbox import Dead, LedgerBatch, Outbox, OutboxRow, TableRows

TABLE = "accounts.public.account"
OPENED = datetime(2026, 11, 22, tzinfo=UTC)
POISON = "poison"


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    with transforms.isolated():
        yield


class Crash(BaseException):
    """The end of the Lambda at a step, as no code can catch it."""


class Journal:
    """Every step that the drain asks for, in order. The step with the number `crash_at` fails instead."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.crash_at = -1

    def note(self, step: str) -> None:
        self.steps.append(step)
        if len(self.steps) - 1 == self.crash_at:
            raise Crash(step)


class LedgerOutbox:
    """An outbox and its ledger with the rules of the real one, in memory."""

    source = "accounts"

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.held_by_another = False
        self.holds_lock = False
        self.waiting: list[OutboxRow] = []
        self.events: dict[int, list[OutboxRow]] = {}
        self.states: dict[int, str] = {}
        self.held_for: dict[int, set[str]] = {}
        self.confirmed: set[int] = set()
        self.pauses: set[str] = set()
        self.failures: dict[int, str] = {}
        self.overdue_ids: set[int] = set()
        self.letters: dict[int, Dead] = {}
        self.refused_by_writer: dict[int, str] = {}
        self.while_waiting: Callable[[], None] = lambda: None

    def commit(self, *ids: int, name: str = "Ann") -> None:
        """Commits one event for each id, as an UPDATE of a row that the target may or may not have."""
        seq = len(self.waiting) + sum(map(len, self.events.values()))
        for position, row_id in enumerate(ids, 1):
            values = (str(row_id), name)
            self.waiting.append(
                OutboxRow("S", seq + position, 1, "2026-11-22 00:00:00+00", (None, None), values)
            )

    def try_lock(self) -> bool:
        self.journal.note("lock")
        assert not self.holds_lock
        self.holds_lock = not self.held_by_another
        return self.holds_lock

    def unlock(self) -> None:
        self.holds_lock = False
        self.journal.note("unlock")

    def open_batches(self, batch_events: int, batch_bytes: int) -> int:
        assert self.holds_lock
        self.journal.note("open batches")
        parts = [self.waiting[at : at + batch_events] for at in range(0, len(self.waiting), batch_events)]
        for part in parts:
            self.events[len(self.events) + 1] = part
            self.states[len(self.events)] = "open"
        self.waiting = []
        return len(parts)

    def has_events(self) -> bool:
        self.journal.note("look")
        return bool(self.waiting)

    def compare_tokens(self, newest: object) -> None:
        pass

    def renew_epoch(self) -> None:
        pass

    def has_snapshots(self, most_held: int) -> bool:
        return False

    def wait_for_snapshots(self, most_held: int, out_of_time: Callable[[], bool]) -> bool:
        return False

    def reclaim_letters(self) -> None:
        pass

    def replay_waiting(self, batch_events: int, why: str) -> int:
        return 0

    def purge(self, days: int, most: int) -> bool:
        return False

    def standing(self) -> Standing:
        return Standing(frozenset(self.pauses), self.in_flight(), bool(self._in_state("held")))

    def wait_for_commits(self, out_of_time: Callable[[], bool]) -> None:
        assert not self.holds_lock
        self.journal.note("wait")
        self.while_waiting()

    def open(self) -> list[LedgerBatch]:
        return self._in_state("open")

    def overdue(self, seconds: float) -> list[LedgerBatch]:
        return [batch for batch in self._in_state("forwarded") if batch.batch_id in self.overdue_ids]

    def held_batches(self, without: Collection[str], most: int) -> list[LedgerBatch]:
        held = self._in_state("held")
        return [batch for batch in held if not self.held_for[batch.batch_id] <= set(without)][:most]

    def in_flight(self) -> int:
        return len(self._in_state("forwarded"))

    def read(self, batch: LedgerBatch) -> list[TableRows]:
        self.journal.note(f"read {batch.batch_id}")
        shape = (("id",), ("id", "name"), ("bigint", "text"))
        return [TableRows("public.account", *shape, self.events[batch.batch_id])]

    def mark_forwarded(self, batch: LedgerBatch) -> None:
        self.journal.note(f"forwarded {batch.batch_id}")
        if self.states[batch.batch_id] != "applied":
            self.states[batch.batch_id] = "forwarded"
        self.overdue_ids.discard(batch.batch_id)

    def mark_written(self, batch: LedgerBatch) -> None:
        self.journal.note(f"applied {batch.batch_id}")
        self.states[batch.batch_id] = "applied"

    def hold(self, batch: LedgerBatch, sinks: Collection[str], forwarded: bool, error: str) -> None:
        self.journal.note(f"held {batch.batch_id}")
        self.states[batch.batch_id] = "held"
        self.held_for[batch.batch_id] = set(sinks)

    def note_failure(self, batch: LedgerBatch, error: str) -> None:
        self.failures[batch.batch_id] = error

    def buried(self, batch: LedgerBatch) -> frozenset[int]:
        return frozenset(row.seq for row in self.events[batch.batch_id] if row.seq in self.letters)

    def refused(self, batch: LedgerBatch) -> dict[int, str]:
        return self.refused_by_writer

    def dead_keys(
        self, batch: LedgerBatch, tables: Iterable[TableRows]
    ) -> dict[tuple[str, tuple[str | None, ...]], int]:
        first: dict[tuple[str, tuple[str | None, ...]], int] = {}
        for seq in sorted(self.letters, reverse=True):
            for key in self.letters[seq].keys:
                first["public.account", tuple(key.values())] = Version(1, seq).number
        return first

    def bury(self, batch: LedgerBatch, dead: list[Dead]) -> None:
        self.journal.note(f"bury {batch.batch_id}")
        for letter in dead:
            self.letters.setdefault(letter.seq, letter)

    def rotate(self) -> None:
        assert self.holds_lock
        self.journal.note("rotate")

    def _in_state(self, state: str) -> list[LedgerBatch]:
        return [
            LedgerBatch(batch_id, 1, len(self.events[batch_id]), OPENED, confirmed=batch_id in self.confirmed)
            for batch_id, known in self.states.items()
            if known == state
        ]


class KeepingSink:
    """A sink that takes each batch once, and keeps what it was given each time."""

    def __init__(self, name: str, journal: Journal) -> None:
        self.name = name
        self.journal = journal
        self.given: dict[int, list[Batch]] = {}
        self.rows: dict[str | None, str | None] = {}
        self.refuses: Callable[[Change], bool] = lambda change: False

    def write(self, batch: Batch) -> None:
        self.journal.note(f"{self.name} {batch.batch_id}")
        changes = [change for table in batch.tables for change in table.changes]
        refused = [change for change in changes if self.refuses(change)]
        if refused:
            raise RefusedChanges([Refusal("account", {}, change.version, "too long") for change in refused])
        self.given.setdefault(batch.batch_id, []).append(batch)
        if len(self.given[batch.batch_id]) == 1:
            self.rows.update({change.values[0]: change.values[1] for change in changes if change.values})


class Clock:
    """Says that the time is up after so many questions."""

    def __init__(self, answers: int | None = None) -> None:
        self.left = answers

    def out_of_time(self) -> bool:
        if self.left is None:
            return False
        self.left -= 1
        return self.left < 0


class Bench:
    """A drain with its outbox, two sinks and the writer."""

    def __init__(
        self, sinks: tuple[str, ...] = ("replica", "archive", "warehouse"), limits: Limits | None = None
    ) -> None:
        self.journal = Journal()
        self.outbox = LedgerOutbox(self.journal)
        self.replica = KeepingSink("replica", self.journal)
        self.archive = KeepingSink("archive", self.journal)
        self.writer = KeepingSink("forward", self.journal)
        self.pipeline = Pipeline(
            {"accounts": Source((Table("public.account"),))},
            {"replica": PostgresSink(), "archive": S3Sink(), "warehouse": RedshiftSink()},
            (Route(TABLE, sinks),),
            drain=limits or Limits(),
        )

    def run(self, clock: Clock | None = None, overdue_seconds: float | None = None) -> Drained:
        sinks = {"replica": self.replica.write, "archive": self.archive.write}
        out_of_time = (clock or Clock()).out_of_time
        outbox = cast(Outbox, self.outbox)
        return Drain(self.pipeline, outbox, dict(sinks), self.writer.write, out_of_time).run(overdue_seconds)

    def steps(self) -> list[str]:
        """The steps since the last time."""
        steps, self.journal.steps = self.journal.steps, []
        return steps


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain_module, "_BACK_PRESSURE_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(drain_module, "_LINGER_SECONDS", 0.0)
    monkeypatch.setattr(drain_module, "_GATHER_SECONDS", 0.0)


BEGIN = ["lock", "open batches"]
END = ["open batches", "rotate", "unlock", "wait", "look"]


def taken(batch_id: int) -> list[str]:
    return [f"{step} {batch_id}" for step in ("read", "replica", "archive", "forward", "forwarded")]


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


def test_drain_looks_on_for_a_moment_after_its_last_batch(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "_LINGER_SECONDS", 30.0)
    late = iter([(), (), (2,)])
    bench.outbox.commit(1)

    def commit_late(batch_events: int, batch_bytes: int) -> int:
        if bench.outbox.states:
            if (ids := next(late, None)) is None:
                monkeypatch.setattr(drain_module, "_LINGER_SECONDS", 0.0)
            elif ids:
                bench.outbox.commit(*ids)
        return LedgerOutbox.open_batches(bench.outbox, batch_events, batch_bytes)

    bench.outbox.open_batches = commit_late  # type: ignore[method-assign]
    assert bench.run().batches == 2
    steps = bench.steps()
    assert steps.count("unlock") == 1
    assert steps.index("read 2") < steps.index("unlock")


class TestGathering:
    def test_events_gather_while_the_writer_has_enough_to_do(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two batches are under way: what commits until one is applied makes one batch, not three."""
        monkeypatch.setattr(drain_module, "_GATHER_SECONDS", 30.0)
        looks = iter(range(5))
        standing = bench.outbox.standing

        def look_and_commit() -> Standing:
            if bench.outbox.in_flight() == 2 and (look := next(looks, None)) is not None:
                if look < 3:
                    bench.outbox.commit(10 + look)
                else:
                    bench.outbox.states[1] = "applied"
            return standing()

        bench.outbox.standing = look_and_commit  # type: ignore[method-assign]
        bench.pipeline = msgspec.structs.replace(bench.pipeline, drain=Limits(batch_events=5))
        bench.outbox.commit(1, 2, 3, 4, 5, 6)
        assert bench.run() == Drained(batches=3, events=9)

    def test_writer_that_confirms_nothing_is_not_waited_for_longer(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(drain_module, "_GATHER_SECONDS", 0.01)
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
        monkeypatch.setattr(drain_module, "_PATIENCE_SECONDS", 0.05)
        bench = Bench(limits=Limits(batch_events=1, in_flight=2))
        bench.outbox.commit(*range(1, 8))
        assert bench.run().held == 5
        assert list(bench.outbox.states.values()) == ["forwarded"] * 2 + ["held"] * 5
        assert len(bench.writer.given) == 2
        assert len(bench.archive.rows) == 7

    def test_writer_that_is_slow_is_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(drain_module, "_PATIENCE_SECONDS", 0.2)
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
        monkeypatch.setattr(drain_module, "_PATIENCE_SECONDS", 0.05)
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


def test_what_the_writer_refused_is_buried_and_the_rest_forwarded_again(bench: Bench) -> None:
    bench.outbox.commit(1, 2, 3)
    bench.outbox.refused_by_writer = {2: "account (id=2): too long"}

    bench.run()

    assert {seq: dead.error for seq, dead in bench.outbox.letters.items()} == {2: "account (id=2): too long"}
    assert sorted(bench.writer.rows) == ["1", "3"]
