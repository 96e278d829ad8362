"""`./pgevents reconcile`: proves that sinks hold what the sources say, or names the keys that differ."""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from ops.cdk import PROJECT
from ops.endpoints import DEFAULT_STATE, read_endpoints
from ops.reconcile import report
from ops.reconcile.run import Options, Telling, reconciled
from ops.reconcile.selection import select
from pgevents.config import load
from pgevents.errors import InputError

SUMMARY = "Prove that every sink holds what the sources say, or name the keys; --repair sends them again"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("table", metavar="TABLE", nargs="?", help="source.schema.table; all without")
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, help="the pipeline's state folder")
    parser.add_argument(
        "--repair", action="store_true", help="send the rows that differ again, then look again"
    )
    parser.add_argument(
        "--since",
        metavar="TIME",
        help="only rows that changed since: 2026-11-22T15:00, or 90s, 15m, 6h, 2d ago",
    )
    parser.add_argument(
        "--sink", metavar="NAME", action="append", default=[], help="only this sink; again for more"
    )
    parser.add_argument(
        "--rows-per-second", type=float, metavar="N", help="read no faster, over sources and sinks together"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object with every key")
    parser.add_argument(
        "--restart", action="store_true", help="begin anew, where a run that was interrupted would go on"
    )


def run(args: argparse.Namespace) -> int:
    if args.rows_per_second is not None and not args.rows_per_second > 0:
        raise InputError(f"--rows-per-second {args.rows_per_second:g}: expected a number above 0")
    endpoints = read_endpoints(args.state)
    pipeline = load(PROJECT / "pipeline.toml")
    selection = select(pipeline, args.table, args.sink, args.since)
    options = Options(args.rows_per_second, args.repair, args.restart)
    path = args.state / "reconcile.sqlite"
    with (
        _telling() as telling,
        reconciled(pipeline, endpoints, selection, options, path, telling) as outcome,
    ):
        (report.print_json if args.json else report.print_text)(outcome)
        return report.exit_code(outcome)


@contextlib.contextmanager
def _telling() -> Iterator[Telling]:
    """On stderr: lines always, progress where somebody looks."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if not sys.stderr.isatty():
        yield Telling(console.print)
        return
    with console.status("begins") as status:
        yield Telling(console.print, status.update)
