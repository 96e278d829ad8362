"""The first part: what capturing costs the application, while nothing reads what is captured."""

import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median

import msgspec
import psycopg

from bench.capture.tables import FILL, TABLE, TRANSACTIONS, script
from bench.measure import Comparison, Report, interleaved, pgbench
from bench.measure.rounds import Tell
from bench.peers.bed import Bed
from bench.peers.bucardo import Bucardo
from bench.peers.naive import JsonNotify, JsonOutbox, RowIntoWarehouse
from bench.peers.native import NativeLogical
from bench.peers.ours import Ours
from bench.peers.peer import Peer, Site
from bench.peers.pgq import JsonTriga, LogUtriga
from bench.peers.slony import Slony
from local.programs import ProgramFailed

UNTRIGGERED = "no trigger"
CAPTURING: tuple[type[Peer], ...] = (
    Ours, LogUtriga, JsonTriga, Slony, Bucardo, NativeLogical, JsonOutbox, JsonNotify, RowIntoWarehouse,
)  # fmt: skip
"""Londiste is not among them: its trigger is PgQ's logutriga."""
CLIENTS = 16
# What one variant leaves would be vacuumed in another one's time.
SETTINGS = {"autovacuum": "off"}

_INSERT = f"""
insert into {TABLE}
select
    account_id + 1000000, operator_id, organisation, email, country, balance, logins, active, roots, settings,
    opened_on, changed_at
from {TABLE} where account_id between 1 and %s
"""
_UPDATE = f"update {TABLE} set balance = balance + 1, logins = logins + 1 where account_id between 1 and %s"
_DELETE = f"delete from {TABLE} where account_id between 1000001 and 1000000 + %s"
BULK = (_INSERT, _UPDATE, _DELETE)
"""What each changes as many rows as the parameter says."""


class Extent(msgspec.Struct, frozen=True):
    """How much is measured: seconds a variant and round, or runs of each client; rows a statement."""

    seconds: float = 3.0
    runs_each: int = 0
    rows: int = 10_000


def measure(report: Report, bed: Bed, rounds: int, extent: Extent, tell: Tell) -> None:
    """Adds what capturing costs to a report, and each peer that cannot run with the reason."""
    with ExitStack() as running:
        sites = {UNTRIGGERED: bed.site(bed.server("source"), "untriggered")}
        for kind in CAPTURING:
            if site := _captured(report, bed, kind, running):
                sites[kind.name] = site
        for site in sites.values():
            site.execute(FILL)
        _measure_transactions(report, bed.folder("load"), sites, rounds, extent, tell)
        _measure_statements(report, sites, rounds, extent, tell)


def _captured(report: Report, bed: Bed, kind: type[Peer], running: ExitStack) -> Site | None:
    """A database whose table the peer captures; None, and a word in the report, where it cannot."""
    if why := bed.lacks(kind):
        report.skip(kind.name, why)
        return None
    name = kind.__name__
    source = bed.server("source" if kind.wal_level == "replica" else "source of WAL", kind.wal_level)
    peer = kind(
        TABLE, bed.site(source, name), bed.site(bed.server("target"), name), bed.folder(f"{name} files")
    )
    running.callback(peer.tear_down)
    try:
        peer.set_up()
    except (ProgramFailed, psycopg.Error) as error:
        report.skip(kind.name, " ".join(str(error).split()))
        return None
    running.enter_context(peer.at_work())
    return peer.source


def _measure_transactions(
    report: Report, folder: Path, sites: dict[str, Site], rounds: int, extent: Extent, tell: Tell
) -> None:
    file = folder / "transactions.sql"
    file.write_text(script())
    wal: dict[str, list[float]] = {name: [] for name in sites}

    def rate(name: str, site: Site, durability: str) -> float:
        before = _wal_bytes(site)
        done = pgbench.run(
            site.dsn,
            {file: 1},
            clients=CLIENTS,
            seconds=extent.seconds,
            runs_each=extent.runs_each,
            settings={"synchronous_commit": durability},
            variables={"n": 0},
        )
        wal[name].append((_wal_bytes(site) - before) / (done.transactions * TRANSACTIONS))
        return done.rate * TRANSACTIONS

    for durability in ("on", "off"):
        compared = report.compare(
            interleaved(
                f"Capture, {CLIENTS} clients, synchronous_commit {durability}",
                {name: partial(rate, name, site, durability) for name, site in sites.items()},
                unit="transactions/s",
                baseline=UNTRIGGERED,
                rounds=rounds,
                tell=tell,
            )
        )
        if durability == "off":
            _beside_pgq(report, compared, 1.4)
    for name, each in wal.items():
        report.figure(f"WAL a change, {name}", round(median(each)), "bytes")


def _measure_statements(
    report: Report, sites: dict[str, Site], rounds: int, extent: Extent, tell: Tell
) -> None:
    slow = {kind.name for kind in CAPTURING if kind.costs_a_round_trip_a_row}

    def rate(name: str, site: Site) -> float:
        # Where each row has a price of its own, a tenth of them tells it in a tenth of the time.
        rows = extent.rows // 10 if name in slow else extent.rows
        with site.connect() as connection:
            connection.execute("set synchronous_commit = off")
            began = time.monotonic()
            changed = sum(connection.execute(each.encode(), (rows,)).rowcount for each in BULK)
            return changed / (time.monotonic() - began)

    compared = report.compare(
        interleaved(
            f"Capture, statements of {extent.rows:,} rows",
            {name: partial(rate, name, site) for name, site in sites.items()},
            unit="rows/s",
            baseline=UNTRIGGERED,
            rounds=rounds,
            tell=tell,
        )
    )
    _beside_pgq(report, compared, 5.0)


def _wal_bytes(site: Site) -> int:
    with site.connect() as connection:
        written = connection.execute("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')").fetchone()
    assert written is not None
    return int(written[0])


def _beside_pgq(report: Report, compared: Comparison, bound: float) -> None:
    """PgQ's trigger is written in C, and what others build on."""
    if LogUtriga.name in compared.rounds:
        ratio = compared.ratio(Ours.name, to=LogUtriga.name).median
        report.target(f"{compared.title}: ours beside {LogUtriga.name}", ratio, ">=", bound)
