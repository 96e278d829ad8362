"""What a replay came to: counts, latency and the comparison, and whether they are what they must be."""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from demo.replay import EventCounts


class Difference(msgspec.Struct, frozen=True):
    """A row that is not in a sink as it must be: its key, and what is wrong with it."""

    sink: str
    target: str
    key: str
    problem: str

    def __str__(self) -> str:
        return f"{self.sink}: {' '.join(filter(None, (self.target, self.key)))}: {self.problem}"


class Compared(msgspec.Struct, frozen=True):
    """A target in a sink: how many rows (in S3: changes) it holds, all of them compared, and what differs."""

    sink: str
    target: str
    rows: int
    differences: tuple[Difference, ...] = ()


class Applied(msgspec.Struct, frozen=True):
    """A batch of the ledger: its events, and the seconds from its first event until all sinks had them."""

    source: str
    events: int
    seconds: float


class Outcome(msgspec.Struct, frozen=True):
    """Everything that the report shows.

    `committed` and `rolled_back` are the replay's own record, `applied` the pipeline's ledger.
    """

    committed: EventCounts
    rolled_back: EventCounts
    applied: Sequence[Applied]
    compared: Sequence[Compared]
    seconds: float

    def differences(self) -> list[Difference]:
        """All rows that differ, and first a line for each source whose ledger counts other events."""
        found = [difference for compared in self.compared for difference in compared.differences]
        return [*self.miscounted(), *found]

    def miscounted(self) -> list[Difference]:
        """A line for each source of which more or fewer events were applied than committed."""
        found = []
        for source, expected in sorted(_by_source(self.committed).items()):
            counted = sum(batch.events for batch in self.applied if batch.source == source)
            if counted != expected:
                problem = f"{counted:,} events were applied, {expected:,} were committed"
                found.append(Difference("ledger", source, "", problem))
        return found

    def latency(self, share: float) -> float:
        """The seconds from commit to applied that a share (0 to 1) of the events did not exceed."""
        return weighted_percentile([(batch.seconds, batch.events) for batch in self.applied], share)


def _by_source(counts: EventCounts) -> Counter[str]:
    by_source: Counter[str] = Counter()
    for (table, _), count in counts.items():
        by_source[table.split(".")[0]] += count
    return by_source


def weighted_percentile(samples: Iterable[tuple[float, int]], share: float) -> float:
    """The least value that a share (0 to 1) of the weight does not exceed; samples are (value, weight).

    Raises ValueError without samples.
    """
    ordered = sorted(samples)
    needed = share * sum(weight for _, weight in ordered)
    reached = 0
    for value, weight in ordered:
        reached += weight
        if reached >= needed:
            return value
    raise ValueError("there is no percentile of nothing")
