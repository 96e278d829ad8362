"""Whether a run kept the promises: the ledger, every row of every sink, and the traffic's own record."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import msgspec
import psycopg

from bench.faults.arena import Arena
from bench.faults.kind import Witness
from bench.faults.result import Harm
from bench.faults.traffic import TABLES, Record, histories, judge_history, judge_source, target_name
from local.stack.functions import BUCKET
from ops.comparison.archive import ArchivePlace
from ops.comparison.difference import Compared
from ops.comparison.sinks import MakePlaces, compare_opened, open_sinks
from ops.endpoints import connect
from pgevents.config import S3Sink

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MOST_DETAILS = 40
# A serializable transaction that other transactions have doomed is told so by whichever statement comes next.
_DOOMED = "40001"
_HARMS = {
    "lost": "lost",
    "twice": "duplicated",
    "out of order": "out_of_order",
    "rolled back appeared": "appeared",
    "never written": "appeared",
    "source lost a commit": "lost",
    "source kept a rollback": "appeared",
    "capture failed a write": "refused",
}


class Verdict:
    """What was found against a run."""

    def __init__(self) -> None:
        self.harm = Harm()
        self.details: list[str] = []

    def against(self, count: int, harm: str, what: str) -> None:
        """Counts something that must not be."""
        if count:
            setattr(self.harm, harm, getattr(self.harm, harm) + count)
            if len(self.details) < _MOST_DETAILS:
                self.details.append(f"{harm.replace('_', ' ')}: {what}")


def judge(arena: Arena, record: Record, since: dict[str, int], witness: Witness) -> Verdict:
    """Judges a run that is at rest. `since` is each source's last batch before it."""
    verdict = Verdict()
    for source, dsn in arena.dsns.items():
        with arena.sql(dsn) as connection:
            changes = record.sources[source].least_events() if witness != "rows" else 0
            _judge_ledger(verdict, source, connection, since[source], changes)
    # Rows that have not come yet are no news where events are stuck.
    if not verdict.harm and witness != "rows":
        _judge_histories(verdict, arena, record, witness)
    if not verdict.harm:
        _judge_sinks(verdict, arena)
    return verdict


def _judge_histories(verdict: Verdict, arena: Arena, record: Record, witness: Witness) -> None:
    snapshots = witness == "snapshots"
    findings = judge_source(record)
    for sink, read in _histories(arena):
        for source, of_source in record.sources.items():
            for table in TABLES:
                where = f"{source} {sink} {table.name}"
                findings += judge_history(where, of_source, table, read(source, table), snapshots=snapshots)
    for finding in findings:
        # A row that was sent again as it stood may stand before a deletion that it outlived.
        sent_again = snapshots and finding.kind == "twice"
        doomed = finding.kind == "capture failed a write" and finding.what.startswith(_DOOMED)
        if not sent_again and not doomed:
            verdict.against(1, _HARMS[finding.kind], f"{finding.where}: {finding.kind}: {finding.what}")


def _histories(arena: Arena) -> Iterator[tuple[str, histories.Read]]:
    """A reader of each sink's histories; those of the archive read from the emulator's disk."""
    archives = arena.pipeline.sinks_of(S3Sink)
    others = {name: sink for name, sink in arena.pipeline.sinks.items() if name not in archives}
    yield from histories.readers(msgspec.structs.replace(arena.pipeline, sinks=others), arena.endpoints)
    for name, sink in archives.items():
        yield (
            name,
            lambda source, table, sink=sink: histories.read_s3(  # type: ignore[misc]
                arena.bucket, BUCKET, sink.prefix, target_name(source, table.name), table
            ),
        )


def _judge_ledger(
    verdict: Verdict, source: str, connection: psycopg.Connection, since: int, changes: int
) -> None:
    for batch_id, state, events in connection.execute(
        "select batch_id, state, events from pgevents.batch where batch_id > %s and state <> 'applied'",
        (since,),
    ):
        verdict.against(events, "stuck", f"batch {batch_id} of {source} is {state}")
    for table, seq, error in connection.execute("select table_name, seq, error from pgevents.dead_letter"):
        verdict.against(1, "stuck", f"event {seq} of {source}.{table} is dead: {error[:200]}")
    applied = connection.execute(
        "select coalesce(sum(events), 0)::bigint from pgevents.batch"
        " where batch_id > %s and state = 'applied'",
        (since,),
    ).fetchone()
    if applied is not None:
        # Capture may write a row's state once more (settle); never may it write less than there was.
        verdict.against(
            max(0, changes - applied[0]), "lost", f"{source}: {applied[0]} events of {changes} changes"
        )


def _judge_sinks(verdict: Verdict, arena: Arena) -> None:
    archives = arena.pipeline.sinks_of(S3Sink)
    with contextlib.ExitStack() as stack:
        sources = {name: stack.enter_context(connect(name, dsn)) for name, dsn in arena.dsns.items()}
        others = [name for name in arena.pipeline.sinks if name not in archives]
        sinks = open_sinks(arena.pipeline, arena.endpoints, stack, others)
        sinks |= {name: _archive(arena, name, cast(S3Sink, sink)) for name, sink in archives.items()}
        for compared in compare_opened(arena.pipeline, sources, sinks):
            _judge_compared(verdict, compared)


def _archive(arena: Arena, name: str, sink: S3Sink) -> MakePlaces:
    client = cast("S3Client", arena.bucket)
    return lambda shape, spool, first: [ArchivePlace(client, BUCKET, sink.prefix, name, shape, spool, first)]


def _judge_compared(verdict: Verdict, compared: Compared) -> None:
    for difference in compared.differences:
        where = f"{compared.sink} {compared.target} {difference.key}"
        match difference.kind:
            case "missing":
                verdict.against(1, "lost", f"{where} is missing")
            case "unexpected" | "duplicated":
                verdict.against(1, "duplicated", f"{where} is {difference.kind}")
            case _:
                verdict.against(1, "out_of_order", f"{where} differs in {', '.join(difference.columns)}")
