"""Once a day and source: what the sinks need no more goes."""

from collections.abc import Callable
from functools import partial

from pgevents import log
from pgevents.config import Pipeline, RedshiftSink
from pgevents.errors import PgEventsError
from transform.source.session import SourceSession

# Lambda keeps an event for hours, a queue for days; longer than that nothing old is delivered once more.
TOMBSTONES_KEPT = "30 days"

PurgeSink = Callable[[str, list[str], int], object]
"""Deletes, of a source and targets of it, old tokens and the tombstones below a version."""
PurgeWarehouse = Callable[[str, int], object]


class Horizon(SourceSession):
    """How far every sink of one source has come."""

    def passed(self) -> int | None:
        """The version below which tombstones may go, once a day; None at any other time."""
        found = self._value("select pgevents.pass_horizon(%s::interval)", (TOMBSTONES_KEPT,))
        return None if found is None else int(str(found))


def purge_sinks(
    pipeline: Pipeline, horizon: Horizon, sinks: dict[str, PurgeSink], warehouse: PurgeWarehouse
) -> None:
    """Purges every sink of a source when a day has passed. One that fails is purged another day."""
    below = horizon.passed()
    if below is None:
        return
    source = horizon.source
    purges: dict[str, Callable[[], object]] = {
        name: partial(purge, source, kept_targets(pipeline, source, name), below)
        for name, purge in sinks.items()
    }
    purges |= {name: partial(warehouse, source, below) for name in pipeline.sinks_of(RedshiftSink)}
    for name, purge_one in purges.items():
        try:
            log.info("sink purged", source=source, sink=name, below=below, purged=purge_one())
        except PgEventsError as error:
            log.warning("sink not purged", source=source, sink=name, error=str(error))


def kept_targets(pipeline: Pipeline, source: str, sink: str) -> list[str]:
    """The targets of a source in a sink that have a current state, and so tombstones."""
    return sorted(
        {
            route.target_name
            for route in pipeline.routes
            if sink in route.sinks and route.mode != "history" and route.table.partition(".")[0] == source
        }
    )
