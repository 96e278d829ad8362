"""What a replay came to: counts, latency and the comparison, and whether they are what they must be."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from demo.replay import EventCounts
from ops.comparison.difference import Compared, Difference
from ops.ledger import BatchLine


class Outcome(msgspec.Struct, frozen=True):
    """Everything that the report shows.

    `committed` and `rolled_back` are the replay's own record, `batches` the ledger's batches a source,
    `compared` every target in every sink, `seconds` how long all of it took.
    """

    committed: EventCounts
    rolled_back: EventCounts
    batches: Mapping[str, Sequence[BatchLine]]
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

    def latency(self, share: float) -> float:
        """The seconds from commit to applied that a share (0 to 1) of the events did not exceed."""
        batches = [batch for lines in self.batches.values() for batch in lines]
        finished = [(each.latency_ms / 1000, each.events) for each in batches if each.latency_ms is not None]
        return weighted_percentile(finished, share)

    def _differing_rows(self) -> Iterator[str]:
        for compared in self.compared:
            for difference in compared.differences:
                yield f"{compared.sink}: {compared.target} {_described(difference)}"


def arrived(compared: Compared) -> int:
    """How many rows a sink holds: those it must hold, without the missing ones and with the surplus."""
    kinds = Counter(difference.kind for difference in compared.differences)
    return compared.rows - kinds["missing"] + kinds["unexpected"]


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


def _described(difference: Difference) -> str:
    key = ", ".join("null" if part is None else part for part in difference.key)
    columns = f" in {', '.join(difference.columns)}" if difference.columns else ""
    return f"({key}) is {difference.kind}{columns}"


def _by_source(counts: EventCounts) -> Counter[str]:
    by_source: Counter[str] = Counter()
    for (table, _), count in counts.items():
        by_source[table.split(".")[0]] += count
    return by_source
