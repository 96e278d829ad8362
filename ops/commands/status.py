"""`./pgevents status`: how far each source has come."""

import argparse
import sys
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from ops.endpoints import DEFAULT_STATE, connect, read_endpoints, state_option
from ops.status import ledger
from ops.status.attention_lines import lines_of
from pgevents.errors import InputError

SUMMARY = "Show how far each source has come: waiting, in flight, latency, dead letters"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, help="the pipeline's state folder")
    parser.add_argument("--json", action="store_true", help="print one JSON list")


def run(args: argparse.Namespace) -> int:
    """Raises InputError for the sources that do not say how they are, when it has shown the others."""
    found, silent = [], []
    for source, dsn in read_endpoints(args.state).sources.items():
        try:
            with connect(source, dsn) as connection:
                found.append(ledger.status(source, connection))
        except InputError as error:
            silent.append(str(error))
    if args.json:
        print(msgspec.json.encode(found).decode())
    elif found:
        _show(found, state_option(args.state))
    if silent:
        raise InputError("; ".join(silent))
    return 0


def _show(found: list[ledger.SourceStatus], option: str) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(_table(found))
    for line in found:
        for text, style in lines_of(line, option):
            console.print(text, style=style, highlight=False, markup=False)
        if line.doorbells_failed:
            console.print(_failed_doorbells(line), style="red", highlight=False)


def _table(found: list[ledger.SourceStatus]) -> Table:
    """Fits a terminal of 80 columns; the JSON has the rest."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("source", no_wrap=True)
    for heading in ("applied", "waiting", "oldest", "in flight", "dead", "p50", "p99", "rings"):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in found:
        table.add_row(
            line.source,
            f"{line.events_applied:,}",
            f"{line.events_waiting:,}",
            # 0: what waits is in no batch yet, and nothing says since when.
            f"{line.oldest_waiting_seconds:.1f} s" if line.oldest_waiting_seconds else "-",
            str(line.batches_in_flight),
            f"[red]{line.dead_letters:,}[/red]" if line.dead_letters else "0",
            _milliseconds(line.latency_p50_ms),
            _milliseconds(line.latency_p99_ms),
            f"{line.doorbells_rung:,}",
        )
    return table


def _failed_doorbells(line: ledger.SourceStatus) -> str:
    return (
        f"{line.source}: {line.doorbells_failed:,} doorbells failed; "
        "the sweep found what they would have told. "
        "The database's log says why (pgevents: the doorbell did not ring)."
    )


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} ms"
