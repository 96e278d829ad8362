"""The second part: how fast a backlog arrives in another database, and how soon a commit is visible there.

Each variant has a pair of servers of its own, so that none reads the others' WAL, and all but the one whose
turn it is are held.
"""

import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import msgspec
import psycopg

from bench.capture.tables import FILL, TABLE, TRANSACTIONS, script
from bench.measure import Report, interleaved, pgbench
from bench.measure.rounds import Tell
from bench.peers.bed import Bed
from bench.peers.bucardo import Bucardo
from bench.peers.equality import Equality
from bench.peers.latency import percentiles, watched
from bench.peers.londiste import Londiste, LondisteBulk
from bench.peers.native import NativeLogical
from bench.peers.ours import Ours
from bench.peers.peer import Replicator
from bench.peers.slony import Slony
from local.programs import ProgramFailed

REPLICATING: tuple[type[Replicator], ...] = (Ours, NativeLogical, Londiste, LondisteBulk, Slony, Bucardo)
SUSTAINED_TITLE = "End to end, a backlog of single-row transactions"
CLIENTS = 4


class Extent(msgspec.Struct, frozen=True):
    """How much is measured: changes a backlog; seconds of writing at a rate of transactions a second."""

    changes: int = 40_000
    seconds: float = 12.0
    rate: float = 400.0


def measure(report: Report, bed: Bed, rounds: int, extent: Extent, tell: Tell) -> None:
    """Adds rates and latencies to a report, and each peer that cannot run with the reason."""
    with ExitStack() as running:
        peers: dict[str, Replicator] = {}
        for kind in REPLICATING:
            if (peer := _replicating(report, bed, kind, running)) is not None:
                tell(f"{kind.name} replicates")
                peers[kind.name] = peer
        file = bed.folder("load") / "transactions.sql"
        file.write_text(script())
        report.compare(
            interleaved(
                SUSTAINED_TITLE,
                {name: partial(_rate, peer, file, extent) for name, peer in peers.items()},
                unit="changes/s",
                baseline=NativeLogical.name,
                rounds=rounds,
                tell=tell,
            )
        )
        for name, peer in peers.items():
            _measure_latency(report, name, peer, file, extent, tell)
    _set_targets(report)


def _replicating(report: Report, bed: Bed, kind: type[Replicator], running: ExitStack) -> Replicator | None:
    """The peer, held, its tables filled and equal; None, and a word in the report, where it cannot."""
    if why := bed.lacks(kind):
        report.skip(kind.name, why)
        return None
    name = kind.__name__
    source, target = (
        bed.site(bed.server(f"{name} {end}", kind.wal_level), "bench") for end in ("source", "target")
    )
    peer = kind(TABLE, source, target, bed.folder(f"{name} files"))
    running.callback(peer.tear_down)
    try:
        peer.set_up()
        peer.start()
        peer.source.execute(FILL)
        Equality(peer, TABLE).wait()
        peer.hold()
    except (ProgramFailed, psycopg.Error) as error:
        report.skip(kind.name, " ".join(str(error).split()))
        peer.tear_down()
        return None
    return peer


def _rate(peer: Replicator, file: Path, extent: Extent) -> float:
    """Changes a second, from the moment that the backlog is let go until the target equals the source."""
    runs = extent.changes // TRANSACTIONS // CLIENTS
    done = pgbench.run(
        peer.source.dsn,
        {file: 1},
        clients=CLIENTS,
        runs_each=runs,
        settings={"synchronous_commit": "off"},
        variables={"n": 0},
    )
    equality = Equality(peer, TABLE)
    began = time.monotonic()
    peer.release()
    ended = equality.wait()
    peer.hold()
    return done.transactions * TRANSACTIONS / (ended - began)


def _measure_latency(
    report: Report, name: str, peer: Replicator, file: Path, extent: Extent, tell: Tell
) -> None:
    peer.release()
    with watched(peer) as latencies:
        pgbench.run(
            peer.source.dsn,
            {file: 1},
            clients=CLIENTS,
            seconds=extent.seconds,
            rate=extent.rate / TRANSACTIONS,
            variables={"n": 0},
        )
    Equality(peer, TABLE).wait()
    peer.hold()
    p50, p99 = percentiles(latencies)
    tell(f"{name}: visible after {p50:,.0f} ms, {p99:,.0f} ms at the 99th percentile")
    report.figure(f"commit to visible, p50, {name}", round(p50, 1), "ms")
    report.figure(f"commit to visible, p99, {name}", round(p99, 1), "ms")


def _set_targets(report: Report) -> None:
    comparison = next(each for each in report.comparisons if each.title == SUSTAINED_TITLE)
    for beside, bound in ((Londiste.name, 2.0), (NativeLogical.name, 0.7)):
        if {beside, Ours.name} <= comparison.rounds.keys():
            ratio = comparison.ratio(Ours.name, to=beside).median
            report.target(f"End to end: ours beside {beside}", ratio, ">=", bound)
