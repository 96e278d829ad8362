"""What a replay came to: counts, latency and the comparison, and whether they are what they must be."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from demo.replay import EventCounts
from ops.comparison.difference import Compared, Difference
from ops.status.ledger import BatchLine


class Outcome(msgspec.Struct, frozen=True):
    """Everything that the report shows.

    `committed` and `rolled_back` are the replay's own record, `batches` the ledger's batches a source,
    `cold` how many of them came before the Lambdas had warmed up; `compared` is every target in every sink,
    `seconds` how long all of it took.
    """

    committed: EventCounts
    rolled_back: EventCounts
    batches: Mapping[str, Sequence[BatchLine]]
    cold: Mapping[str, int]
    compared: Sequence[Compared]
    seconds: float

    def problems(self) -> list[str]:
        """A line for each thing that is not as it must be: none when all is well."""
        return [*self.miscounts(), *self._differing_rows()]

    def miscounts(self) -> list[str]:
        """A line for each source of which other events were applied than committed."""
        lines = []
        for source, committed in sorted(_by_source(self.committed).items()):
            applied = sum(batch.events for batch in self.batches.get(source, ()))
            if applied != committed:
                lines.append(f"{source}: {applied:,} events were applied, {committed:,} were committed")
        return lines

    def latency(self, share: float) -> float | None:
        """The seconds from commit to applied that a share (0 to 1) of the warm events did not exceed."""
        warm = [batches[self.cold.get(source, 0) :] for source, batches in self.batches.items()]
        return weighted_percentile(_latencies(warm), share)

    def cold_start(self) -> float | None:
        """The longest that an event took from commit to applied while the Lambdas started, in seconds."""
        cold = [batches[: self.cold.get(source, 0)] for source, batches in self.batches.items()]
        return weighted_percentile(_latencies(cold), 1.0)

    def _differing_rows(self) -> Iterator[str]:
        for compared in self.compared:
            for difference in compared.differences:
                yield f"{compared.sink}: {compared.target} {_described(difference)}"


def arrived(compared: Compared) -> int:
    """How many rows a sink holds: those it must hold, without the missing ones and with the surplus."""
    kinds = Counter(difference.kind for difference in compared.differences)
    return compared.rows - kinds["missing"] + kinds["unexpected"]


def weighted_percentile(samples: Iterable[tuple[float, int]], share: float) -> float | None:
    """The least value that a share (0 to 1) of the weight does not exceed; None without samples.

    Samples are (value, weight).
    """
    ordered = sorted(samples)
    needed = share * sum(weight for _, weight in ordered)
    reached = 0
    for value, weight in ordered:
        reached += weight
        if reached >= needed:
            return value
    return None


def _latencies(sources: Iterable[Iterable[BatchLine]]) -> Iterator[tuple[float, int]]:
    for batches in sources:
        for batch in batches:
            if batch.latency_ms is not None:
                yield batch.latency_ms / 1000, batch.events


def _described(difference: Difference) -> str:
    key = ", ".join("null" if part is None else part for part in difference.key)
    columns = f" in {', '.join(difference.columns)}" if difference.columns else ""
    return f"({key}) is {difference.kind}{columns}"


def _by_source(counts: EventCounts) -> Counter[str]:
    by_source: Counter[str] = Counter()
    for (table, _), count in counts.items():
        by_source[table.split(".")[0]] += count
    return by_source
