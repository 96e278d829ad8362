"""`./pgevents backfill`: sends the rows that a table has to its sinks, beside all that goes on."""

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from rich.console import Console

from ops import backfill
from ops.cdk import PROJECT
from ops.endpoints import DEFAULT_STATE, connect, read_endpoints, state_option
from ops.operator import operator
from pgevents.config import load

SUMMARY = "Send the rows that a table has already to its sinks, while it is written"
_LINE_SECONDS = 10.0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("table", metavar="TABLE", nargs="?", help="source.schema.table")
    parser.add_argument("--all", action="store_true", help="every captured table")
    parser.add_argument("--no-wait", action="store_true", help="ask for it and come back at once")
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, help="the pipeline's state folder")


def run(args: argparse.Namespace) -> int:
    tables = backfill.chosen(load(PROJECT / "pipeline.toml"), args.table, args.all)
    endpoints = read_endpoints(args.state)
    status = f"./pgevents status{state_option(args.state)}"
    with contextlib.ExitStack() as opened:
        connections = {
            source: opened.enter_context(connect(source, endpoints.source(source))) for source in dict(tables)
        }
        reason = f"backfill by {operator()}"
        requests = [
            (source, backfill.ask(connections[source], source, table, reason)) for source, table in tables
        ]
        if args.no_wait:
            ends = [backfill.progress(connections[source], source, number) for source, number in requests]
        else:
            with _telling(status) as tell:
                ends = list(backfill.watch(connections, requests, tell))
    if args.json:
        print(msgspec.json.encode(ends).decode())
    else:
        print("\n".join(_line(end, status) for end in ends))
    return 1 if any(end.state == "failed" for end in ends) else 0


def _line(end: backfill.Progress, status: str) -> str:
    if end.state == "finished":
        return f"{end.source}.{end.table}: {end.rows:,} rows sent and applied"
    if end.state == "failed":
        return str(end)
    return f"{end.source}.{end.table}: request {end.request_id} is {end.state}; {status} shows it"


@contextlib.contextmanager
def _telling(status: str) -> Iterator[Callable[[str], None]]:
    """On stderr: a live line on a terminal, else one every ten seconds. Ctrl-C ends just the watching."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    told_at = time.monotonic()

    def line(text: str) -> None:
        nonlocal told_at
        if time.monotonic() >= told_at + _LINE_SECONDS:
            told_at = time.monotonic()
            console.print(text)

    try:
        if not sys.stderr.isatty():
            yield line
            return
        with console.status("waits for the drain") as shown:
            yield shown.update
    except KeyboardInterrupt:
        console.print(f"the backfill goes on by itself; {status} shows it")
        raise
