"""The demo from end to end, on a pipeline that runs: replay, wait until applied, compare, report."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from rich.console import Console

from demo import report, root_store
from demo.outcome import Outcome
from demo.replay import Replay, Step
from ops.comparison.difference import Compared
from ops.endpoints import connect
from ops.status import ledger
from ops.status.waiting import wait_until_applied
from pgevents.errors import TransientError

PAUSE_SECONDS = 0.1
"""Between two releases: time for the pipeline to fall asleep, so that doorbells wake it again and again."""

COLD_RELEASES = 1
"""Waited for before the others, so that the cold start is measured as such, and not in what queues behind."""
APPLIED_WITHIN_SECONDS = 120.0


def demonstrate(
    console: Console,
    sources: Mapping[str, str],
    compare: Callable[[], Iterable[Compared]],
    *,
    pause: float = PAUSE_SECONDS,
    patience: float = APPLIED_WITHIN_SECONDS,
) -> bool:
    """Runs the demo and prints it. True when every sink holds what it must.

    `sources` maps names to DSNs, `compare` compares every sink with them; `pause` and `patience` are seconds.
    Raises TransientError when the pipeline has not applied everything within `patience`.
    """
    started = time.monotonic()
    store = root_store.load()
    report.headline(console, store)
    replay = Replay(store, sources)
    cold: dict[str, int] = {}
    report.follow(console, _paced(replay.run(), sources, cold, pause, patience))
    with console.status(f"{report.INDENT}waiting until everything is applied"):
        _wait(sources, patience)
    with console.status(f"{report.INDENT}comparing row by row"):
        compared = list(compare())
    batches = {name: _finished_batches(name, dsn) for name, dsn in sources.items()}
    seconds = time.monotonic() - started
    outcome = Outcome(replay.committed, replay.rolled_back, batches, cold, compared, seconds)
    report.print_outcome(console, outcome)
    return not outcome.problems()


def _paced(
    steps: Iterable[Step], sources: Mapping[str, str], cold: dict[str, int], pause: float, patience: float
) -> Iterator[Step]:
    """The steps with a pause after each; `cold` learns how many batches a source's cold ones took."""
    for step in steps:
        yield step
        if step.number == COLD_RELEASES:
            _wait(sources, patience)
            cold.update({name: len(_finished_batches(name, dsn)) for name, dsn in sources.items()})
        else:
            time.sleep(pause)


def _wait(sources: Mapping[str, str], patience: float) -> None:
    outcome = wait_until_applied(sources, patience)
    for source, events in outcome.unapplied.items():
        if events:
            raise TransientError(
                f"{source}: {events:,} events are not applied after {patience:g} s; "
                "the logs in the state folder tell why (./pgevents demo --keep leaves it)"
            )
    for source, events in outcome.dead_letters.items():
        if events:
            raise TransientError(f"{source}: {events:,} of its events wait in the dead-letter store")


def _finished_batches(name: str, dsn: str) -> list[ledger.BatchLine]:
    with connect(name, dsn) as connection:
        return ledger.batches_after(connection, 0)
