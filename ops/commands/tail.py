"""`./pgevents tail`: batches as they are applied."""

import argparse
import time
from pathlib import Path

import msgspec
import psycopg

from ops.endpoints import DEFAULT_STATE, connect, read_endpoints
from ops.status import ledger

SUMMARY = "Follow the batches as they are applied"

_POLL_SECONDS = 0.5


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, help="the pipeline's state folder")
    parser.add_argument(
        "--all", action="store_true", help="begin with the first batch and not with the next one"
    )
    parser.add_argument("--no-follow", action="store_true", help="print what there is and end")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(args: argparse.Namespace) -> int:
    connections = {name: connect(name, dsn) for name, dsn in read_endpoints(args.state).sources.items()}
    positions = {name: 0 if args.all else _last(connection) for name, connection in connections.items()}
    while True:
        for source, connection in connections.items():
            for line in ledger.batches_after(connection, positions[source]):
                positions[source] = line.batch_id
                print(_json(source, line) if args.json else _text(source, line), flush=True)
        if args.no_follow:
            return 0
        time.sleep(_POLL_SECONDS)


def _last(connection: psycopg.Connection) -> int:
    return max((line.batch_id for line in ledger.batches_after(connection, 0)), default=0)


def _text(source: str, line: ledger.BatchLine) -> str:
    latency = f"{line.latency_ms:,.0f} ms" if line.latency_ms is not None else "-"
    when = line.opened_at.astimezone().strftime("%H:%M:%S")
    batch = f"batch {line.batch_id:>8}  {line.events:>7,} events  {line.state:<8}"
    return f"{when}  {source:<16} {batch} {latency:>10}"


def _json(source: str, line: ledger.BatchLine) -> str:
    return msgspec.json.encode({"source": source, **msgspec.to_builtins(line)}).decode()
