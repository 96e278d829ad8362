"""A shop whose transform takes no poisoned row, with an archive and a warehouse besides the model: what the tests
of dead letters, replay and pauses work with."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple

from pgevents import ChangeEvent, Record, on, transforms
from pgevents.batch import Batch
from pgevents.config import Drain as Limits
from pgevents.config import Pipeline, PostgresSink, RedshiftSink, Route, S3Sink
from tests.integration.db_triggers.captured import NAME, Captured
from transform.delivery import BatchWriter, Drained
from transform.drain import Drain
from transform.source.outbox import Outbox

TABLE = f"{NAME}.public.account"


class Letter(NamedTuple):
    """A dead letter: its event's seq, what became of it, how often it was tried and of what it died."""

    seq: int
    resolution: str | None
    attempts: int
    error: str


class Archive:
    """The changes that it holds, by batch and version: a batch that comes again replaces what it brought."""

    def __init__(self) -> None:
        self.versions: dict[int, list[int]] = {}

    def write(self, batch: Batch) -> None:
        """Takes a batch."""
        changes = [change for table in batch.tables for change in table.changes]
        self.versions[batch.batch_id] = [change.version for change in changes]

    def seqs(self) -> list[int]:
        """The seqs of everything that it holds, of one event as often as it is there."""
        return sorted(version & (1 << 48) - 1 for each in self.versions.values() for version in each)


class Shop:
    """The shop. A row whose name is among `poison` makes its transform fail."""

    def __init__(self, captured: Captured, limits: Limits | None = None) -> None:
        self.captured = captured
        self.run: Callable[..., list[tuple[Any, ...]]] = captured.run
        self.run("create table account (id int primary key, name text)")
        captured.install("public.account")
        self.limits = limits or Limits(batch_events=100, in_flight=4)
        self.poison: set[str] = set()
        self.archive = Archive()
        self.forwarded: list[Batch] = []
        self.writers: dict[str, BatchWriter] = {"model": captured.model.apply, "archive": self.archive.write}
        self.forward: BatchWriter = self.forwarded.append
        transforms.forget()
        on(TABLE, "INSERT", "UPDATE", "SNAPSHOT")(self._transform)
        self.route("model")

    def route(self, *sinks: str) -> None:
        """Sends the table to these sinks from now on."""
        known = {"model": PostgresSink(), "archive": S3Sink(), "warehouse": RedshiftSink()}
        self.captured.pipeline = Pipeline(
            self.captured.pipeline.sources,
            {name: known[name] for name in sinks},  # type: ignore[misc]
            (Route(TABLE, sinks, target="t0"),),
            drain=self.limits,
        )
        self.sinks = sinks

    def new_drain(self, outbox: Outbox | None = None) -> Drain:
        """A drain into the sinks that the table goes to."""
        writers = {name: write for name, write in self.writers.items() if name in self.sinks}
        return Drain(
            self.captured.pipeline, outbox or self.captured.outbox, writers,
            lambda batch: self.forward(batch), lambda: False,
        )  # fmt: skip

    def drain(self) -> Drained:
        """Drains until nothing is left."""
        return self.new_drain().run()

    def sweep(self) -> Drained:
        """Drains and tidies up; nothing is overdue."""
        return self.new_drain().run(overdue_seconds=3_600)

    def replay(self, *letters: int, by: str = "ann", why: str = "mended") -> int:
        """Sends letters again, by their seq; in how many batches."""
        rows = self.captured.reader.execute(
            "select * from pgevents.replay(%s, %s, %s, %s)",
            (self.ids(letters), self.limits.batch_events, by, why),
        )
        return len(rows.fetchall())

    def discard(self, *letters: int, by: str = "ann", why: str = "no use") -> tuple[int, int]:
        """Discards letters, by their seq; how many, and how many others are sent again."""
        row = self.captured.reader.execute(
            "select * from pgevents.discard_letters(%s, 100, %s, %s)", (self.ids(letters), by, why)
        ).fetchone()
        assert row is not None
        return row[0], row[1]

    def ids(self, seqs: Iterable[int]) -> list[int]:
        """The numbers of the letters with these seqs."""
        return [
            row[0]
            for row in self.run(
                "select dead_letter_id from pgevents.dead_letter where seq = any (%s)", list(seqs)
            )
        ]

    def letters(self) -> list[Letter]:
        """Every letter, in order."""
        query = "select seq, resolution, attempts, error from pgevents.dead_letter order by epoch, seq"
        return [Letter(*row) for row in self.run(query)]

    def waiting(self) -> list[int]:
        """The seqs of the letters that are not resolved."""
        return [letter.seq for letter in self.letters() if letter.resolution is None]

    def states(self) -> list[tuple[str, str]]:
        """Kind and state of every batch."""
        return [tuple(row) for row in self.run("select kind, state from pgevents.batch order by batch_id")]  # type: ignore[misc]

    def confirm(self) -> None:
        """The writer's answer to every batch that it was given."""
        for batch in self.forwarded:
            self.captured.outbox.mark_applied(
                batch.batch_id, None, batch.epoch, datetime.fromisoformat(batch.opened_at)
            )

    def model(self) -> dict[int, str | None]:
        """The model's rows: id → name."""
        rows = self.captured.model.rows.get("t0", {})
        return {int(str(key[0])): row["name"] for key, row in rows.items()}

    def table(self) -> dict[int, str | None]:
        """The table's rows."""
        return dict(self.run("select id, name from account"))

    def poisoned(self, name: str = "poison") -> None:
        """Makes rows of this name die, or live when they do."""
        self.poison ^= {name}

    def _transform(self, event: ChangeEvent) -> Record:
        if event.payload["name"] in self.poison:
            raise ValueError(f"{event.payload['name']} is not to be taken")
        return Record(event.payload)
