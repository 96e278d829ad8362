"""One run of reconcile: table by table, resumed where the last one was interrupted."""

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import msgspec
import psycopg

from ops.comparison.check import Check, ComparedPlace, TargetPlace
from ops.comparison.sinks import open_sinks, places_of
from ops.comparison.source import SourceTable
from ops.comparison.spool import Spool
from ops.endpoints import Endpoints, connect
from ops.reconcile.dead import mark_dead
from ops.reconcile.pace import Pace
from ops.reconcile.repair import repair
from ops.reconcile.selection import Selection, since_of
from ops.status import ledger
from pgevents import transforms
from pgevents.config import Pipeline, Table
from pgevents.errors import TransientError
from redshift_writer.simple_query import ConnectionLost, ServerError

APPLIED_WITHIN_SECONDS = 60.0
MOST_LOOKS = 10
_POLL_SECONDS = 0.05
_SIGNATURE, _BEGAN, _UNAPPLIED = "selection", "began", "unapplied in {}"


class Options(msgspec.Struct, frozen=True):
    """How to go about it. `rows_per_second` is over all stores; `restart` forgets an interrupted run."""

    rows_per_second: float | None = None
    repair: bool = False
    restart: bool = False


class ComparedTable(NamedTuple):
    """A source table and every place of it that was compared."""

    table: str
    places: list[ComparedPlace]


class Outcome(NamedTuple):
    """What a run came to; its findings are in the spool. `rows` were read by this run, in `seconds`.

    `unapplied` are events, by source, that a run with `since` could not compare: no sink had them in time.
    """

    spool: Spool
    tables: list[ComparedTable]
    began_at: str
    resumed: bool
    rows: int
    seconds: float
    unapplied: Mapping[str, int] = MappingProxyType({})


class Telling(NamedTuple):
    """Who is told what: lines worth keeping, and what goes on at the moment."""

    line: Callable[[str], None] = lambda _: None
    progress: Callable[[str], None] = lambda _: None


@contextlib.contextmanager
def reconciled(
    pipeline: Pipeline,
    endpoints: Endpoints,
    selection: Selection,
    options: Options,
    path: Path,
    telling: Telling | None = None,
) -> Iterator[Outcome]:
    """Compares the selected tables and repairs what differs if that is asked for.

    `path` is the file that keeps the position; it goes when the block ends without an error. Raises
    InputError for what is not captured or cannot be reached, TransientError for what breaks on the way.
    """
    telling = telling or Telling()
    transforms.import_all("transform.transforms")
    if options.restart:
        path.unlink(missing_ok=True)
    spool = _spool(path, _signature(pipeline, selection))
    with spool, contextlib.ExitStack() as stack, _drivers_errors():
        run = _Run(pipeline, endpoints, selection, options, spool, telling, stack)
        resumed = bool(spool.noted(_BEGAN))
        if resumed:
            telling.line(f"goes on with the run of {spool.noted(_BEGAN)} that was interrupted")
        else:
            spool.note(_BEGAN, datetime.now(UTC).isoformat(timespec="seconds"))
        began = time.monotonic()
        tables = [run.compare(source, table) for source, table in selection.tables]
        seconds = time.monotonic() - began
        yield Outcome(spool, tables, spool.noted(_BEGAN), resumed, run.pace.rows, seconds, run.unapplied())
        spool.remove()


class _Run:
    def __init__(
        self,
        pipeline: Pipeline,
        endpoints: Endpoints,
        selection: Selection,
        options: Options,
        spool: Spool,
        telling: Telling,
        stack: contextlib.ExitStack,
    ) -> None:
        self.pace = Pace(options.rows_per_second)
        self._pipeline = pipeline
        self._selection = selection
        self._options = options
        self._spool = spool
        self._telling = telling
        self._sinks = open_sinks(pipeline, endpoints, stack, selection.sinks)
        self._sources = {
            name: stack.enter_context(connect(name, endpoints.source(name)))
            for name in dict.fromkeys(source for source, _ in selection.tables)
        }
        for name, connection in self._sources.items():
            ledger.require_installed(name, connection)
        self._applied = {name: Applied(connection) for name, connection in self._sources.items()}

    def unapplied(self) -> dict[str, int]:
        noted = {source: self._spool.noted(_UNAPPLIED.format(source)) for source in self._sources}
        return {source: int(events) for source, events in noted.items() if events}

    def compare(self, source: str, table: Table) -> ComparedTable:
        connection, applied = self._sources[source], self._applied[source]
        if self._selection.since is not None:
            # What is not in a sink yet cannot be found there by its version.
            seen = ledger.snapshot(source, connection)
            if not applied.wait(seen) and (left := ledger.unapplied(connection, seen)):
                self._spool.note(_UNAPPLIED.format(source), str(left))
        check = Check(
            self._spool,
            places_of(self._sinks, self._spool),
            applied.wait,
            self._read,
            self._settle,
            since_of(connection, source, self._selection.since),
            MOST_LOOKS,
        )
        compared = check.compare(SourceTable(self._pipeline, source, table, connection))
        return ComparedTable(f"{source}.{table.table}", compared)

    def _read(self, what: str, rows: int) -> None:
        self.pace.spend(rows)
        self._telling.progress(f"{what}: {self._spool.stage(what).rows:,} rows")

    def _settle(self, source: SourceTable, places: Sequence[TargetPlace]) -> None:
        mark_dead(self._spool, source.connection, source.name, source.table)
        if self._options.repair:
            wait = Applied(source.connection).wait
            repair(self._spool, source, places, wait, MOST_LOOKS, self._telling.line)


class Applied:
    """Waiting for what was visible in a snapshot of a source to be applied in every sink."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._gave_up = False

    def wait(self, snapshot: str) -> bool:
        """True once nothing of it is left. Having waited in vain, it is not patient again."""
        until = time.monotonic() + (0 if self._gave_up else APPLIED_WITHIN_SECONDS)
        while ledger.unapplied(self._connection, snapshot):
            if time.monotonic() >= until:
                self._gave_up = True
                return False
            time.sleep(_POLL_SECONDS)
        self._gave_up = False
        return True


def _spool(path: Path, signature: str) -> Spool:
    """The file of an interrupted run with the same selection, or a new one."""
    spool = Spool(path)
    if spool.noted(_SIGNATURE) not in ("", signature):
        spool.remove()
        spool = Spool(path)
    spool.note(_SIGNATURE, signature)
    return spool


def _signature(pipeline: Pipeline, selection: Selection) -> str:
    # A time like "2h" ago is another one at each call, and still the same selection to an operator.
    chosen = msgspec.structs.replace(selection, since=None)
    is_since = selection.since is not None
    return hashlib.sha256(msgspec.json.encode((pipeline, chosen, is_since), order="sorted")).hexdigest()


@contextlib.contextmanager
def _drivers_errors() -> Iterator[None]:
    try:
        yield
    except (psycopg.Error, ServerError, ConnectionLost) as error:
        raise TransientError(
            f"{' '.join(str(error).split())}; run it again: it goes on where it stopped"
        ) from error
