"""A drain over an outbox that keeps its ledger in memory, any step of which can be let fail: the words that the tests
of the drain use."""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import cast

from pgevents import Version
from pgevents.batch import Batch, Change
from pgevents.config import Drain as Limits
from pgevents.config import Pipeline, PostgresSink, RedshiftSink, Route, S3Sink, Source, Table
from pgevents.refusals import Refusal, RefusedChanges
from tests.unit.transform.routed import OPENED, TABLE
from transform.delivery import Drained
from transform.drain import Drain
from transform.source.ledger import Standing
from transform.source.outbox import Dead, LedgerBatch, Outbox, OutboxRow, TableRows

BEGIN = ["lock", "open batches"]
END = ["open batches", "rotate", "unlock", "wait", "look"]


def taken(batch_id: int) -> list[str]:
    return [f"{step} {batch_id}" for step in ("read", "replica", "archive", "forward", "forwarded")]


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
        self.shards: dict[int, int] = {}
        self.awake: set[int] = set()
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
                OutboxRow("S", seq + position, "1", "2026-11-22 00:00:00+00", (None, None), values)
            )

    def try_lock(self) -> bool:
        self.journal.note("lock")
        assert not self.holds_lock
        self.holds_lock = not self.held_by_another
        return self.holds_lock

    def unlock(self) -> None:
        self.holds_lock = False
        self.journal.note("unlock")

    def open_batches(self, batch_events: int, batch_bytes: int, most_shards: int) -> int:
        assert self.holds_lock
        assert not self.waiting_shards()
        self.journal.note("open batches")
        opened = 0
        shards = most_shards if len(self.waiting) > batch_events else 1
        for shard in range(shards):
            rows = [row for row in self.waiting if int(row.after[0] or 0) % shards == shard]
            for at in range(0, len(rows), batch_events):
                opened += 1
                self.events[len(self.events) + 1] = rows[at : at + batch_events]
                self.states[len(self.events)] = "open"
                self.shards[len(self.events)] = shard
        self.waiting = []
        return opened

    def waiting_shards(self) -> dict[int, bool]:
        waiting = {self.shards[number] for number, state in self.states.items() if state == "open"} - {0}
        return {shard: shard in self.awake for shard in sorted(waiting)}

    def try_shard_lock(self, shard: int) -> bool:
        self.journal.note(f"lock shard {shard}")
        if shard in self.awake:
            return False
        self.awake.add(shard)
        return True

    def unlock_shard(self, shard: int) -> None:
        self.awake.discard(shard)
        self.journal.note(f"unlock shard {shard}")

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
        shards_wait = bool(self.waiting_shards())
        return Standing(frozenset(self.pauses), self.in_flight(), bool(self._in_state("held")), shards_wait)

    @contextmanager
    def kept_alive(self) -> Iterator[None]:
        yield

    def wait_for_commits(self, out_of_time: Callable[[], bool]) -> None:
        assert not self.holds_lock
        self.journal.note("wait")
        self.while_waiting()

    def open(self, shard: int = 0) -> list[LedgerBatch]:
        return [batch for batch in self._in_state("open") if self.shards[batch.batch_id] == shard]

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

    def run(
        self,
        clock: Clock | None = None,
        overdue_seconds: float | None = None,
        stalled_seconds: float = 90.0,
    ) -> Drained:
        sinks = {"replica": self.replica.write, "archive": self.archive.write}
        out_of_time = (clock or Clock()).out_of_time
        outbox = cast(Outbox, self.outbox)
        return Drain(
            self.pipeline,
            outbox,
            dict(sinks),
            self.writer.write,
            out_of_time,
            stalled_seconds=stalled_seconds,
        ).run(overdue_seconds)

    def steps(self) -> list[str]:
        """The steps since the last time."""
        steps, self.journal.steps = self.journal.steps, []
        return steps
