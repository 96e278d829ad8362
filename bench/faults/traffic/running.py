"""Traffic on one or several sources at once, beside whatever else happens."""

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

import msgspec
import psycopg

from bench.faults.traffic.prepared import Finisher
from bench.faults.traffic.record import Record, read_source
from bench.faults.traffic.session import Session
from bench.faults.traffic.writer import Writer, Written


class Load(msgspec.Struct, frozen=True):
    """How much is written: row changes in all, by so many writers on each source.

    Every `huge_every`-th transaction of a writer (0: none) changes `huge_rows` rows and more.
    `patience_seconds` is how
    long writers wait for a source that is away.
    """

    changes: int = 1_000
    writers: int = 4
    pause_seconds: float = 0.0
    huge_every: int = 0
    huge_rows: int = 10_000
    patience_seconds: float = 60.0


class Traffic:
    """Traffic that runs in threads of its own from `start` to `finish`."""

    def __init__(self, dsns: Mapping[str, str], seed: int, load: Load) -> None:
        self._dsns = dict(dsns)
        self._seed = seed
        self._load = load
        self._stop = Event()
        self._written = Event()
        self._pool = ThreadPoolExecutor((load.writers + 1) * len(self._dsns), "traffic")
        self._writers: dict[str, list[Writer]] = {name: [] for name in self._dsns}
        self._writing: list[Future[None]] = []
        self._finishing: list[Future[None]] = []

    def start(self) -> None:
        """Begins to write and comes back at once."""
        each = -(-self._load.changes // (self._load.writers * len(self._dsns)))
        load = self._load
        for source, dsn in self._dsns.items():
            finisher = Finisher(self._session(dsn, "finisher"))
            self._finishing.append(self._pool.submit(finisher.run, self._written))
            for _ in range(load.writers):
                number = sum(map(len, self._writers.values()))
                writer = Writer(self._session(dsn, f"writer {number}"), self._seed, number)
                self._writers[source].append(writer)
                self._writing.append(
                    self._pool.submit(
                        writer.write, each, self._stop, load.pause_seconds, load.huge_every, load.huge_rows
                    )
                )

    def runs(self) -> bool:
        """Whether any writer is at work still."""
        return any(not writing.done() for writing in self._writing)

    def changes(self) -> int:
        """How many row changes have been committed until now, as far as the writers were told."""
        return sum(writer.written.changes for writers in self._writers.values() for writer in writers)

    def finish(self, *, now: bool = False) -> Record:
        """Waits for the writers (tells them to stop first, with `now`), finishes what is prepared, reads the
        record.

        Raises SourceGone when a source did not come back, and what else a writer raised.
        """
        if now:
            self._stop.set()
        try:
            for writing in self._writing:
                writing.result()
        finally:
            self._stop.set()
            self._written.set()
            self._pool.shutdown(wait=True)
        for finishing in self._finishing:
            finishing.result()
        return self._record()

    def _record(self) -> Record:
        written = {name: [writer.written for writer in writers] for name, writers in self._writers.items()}
        everyone = [each for those in written.values() for each in those]
        sources = {}
        for name, dsn in self._dsns.items():
            with psycopg.connect(dsn, autocommit=True) as connection:
                sources[name] = read_source(connection, written[name])
        return Record(
            self._seed,
            sources,
            refusals=_sum(everyone, lambda each: each.refusals),
            capture_failures=[failure for each in everyone for failure in each.capture_failures],
            looked_up=sum(each.looked_up for each in everyone),
            cut=sum(each.cut for each in everyone),
            slowest_commit_seconds=max((each.slowest_commit_seconds for each in everyone), default=0.0),
        )

    def _session(self, dsn: str, name: str) -> Session:
        return Session(dsn, f"traffic {self._seed} {name}", self._load.patience_seconds)


def run(dsns: Mapping[str, str], seed: int, changes: int, writers: int, **load: float) -> Record:
    """Writes so many row changes, by so many writers on each source, and gives the record of what committed.

    `load` are further fields of Load.
    """
    traffic = Traffic(dsns, seed, msgspec.convert({"changes": changes, "writers": writers, **load}, Load))
    traffic.start()
    return traffic.finish()


def _sum(written: list[Written], count: Callable[[Written], Counter[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in written:
        total.update(count(each))
    return total
