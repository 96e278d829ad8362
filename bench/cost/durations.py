"""How long the Lambdas were busy, from their logs: seconds for a batch, and for each event of it."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import linear_regression, median
from typing import Any

import msgspec

from local.stack.functions import TRANSFORM, WRITER
from ops.costs.prices import Assumption, PriceList
from pgevents.errors import InputError

_DURATION = re.compile(r"^REPORT .*?\tDuration: ([\d.]+) ms", re.M)
_MEASURED = "measured here: ./pgevents bench cost"


class Durations(msgspec.Struct, frozen=True):
    """Seconds. Of each Lambda those for a batch, however small, and those for each event; the writer's are
    without Redshift's own time, as far as the stand-in needs less."""

    drain: float
    drain_event: float
    acknowledge: float
    writer: float
    writer_event: float

    def within(self, prices: PriceList) -> PriceList:
        """A price list with these in place of its own assumptions."""
        found = {
            "drain_seconds": self.drain,
            "drain_event_seconds": self.drain_event,
            "acknowledge_seconds": self.acknowledge,
            "writer_seconds": self.writer,
            "writer_event_seconds": self.writer_event,
        }
        usage = {name: Assumption(value, prices.usage[name].unit, _MEASURED) for name, value in found.items()}
        return msgspec.structs.replace(prices, usage={**prices.usage, **usage})


def durations(logs: Path) -> Durations:
    """From the logs of a stack's functions. Raises InputError when they tell of too few batches."""
    transform, writer = (
        "\n".join(path.read_text(encoding="utf-8") for path in sorted(logs.rglob(f"{name}.log*")))
        for name in (TRANSFORM, WRITER)
    )
    drain, drain_event = _fitted(
        (line["events"], line["milliseconds"]) for line in _told(transform, "batch drained")
    )
    write, write_event = _fitted(
        (sum(line["changes"].values()), line["milliseconds"]) for line in _told(writer, "applied")
    )
    # Of the transform's invocations nearly all acknowledge a batch.
    acknowledge = median(float(each) for each in _DURATION.findall(transform)) / 1000
    return Durations(drain, drain_event, acknowledge, write, write_event)


def _fitted(batches: Iterable[tuple[int, float]]) -> tuple[float, float]:
    """Seconds for a batch and for an event, by least squares over (events, milliseconds)."""
    sizes, milliseconds = zip(*batches, strict=True) if (batches := list(batches)) else ((), ())
    if len(set(sizes)) < 2:
        raise InputError(f"the logs tell of {len(sizes)} batches of {len(set(sizes))} sizes: too few to fit")
    event, batch = linear_regression(sizes, milliseconds)
    return max(batch, 0.0) / 1000, max(event, 0.0) / 1000


def _told(log: str, message: str) -> Iterator[dict[str, Any]]:
    for line in log.splitlines():
        if line.startswith("{") and (told := msgspec.json.decode(line)).get("message") == message:
            yield told
