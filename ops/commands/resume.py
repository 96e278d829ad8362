"""`./pgevents resume`: lets a source or a sink go on that was paused."""

import argparse
from pathlib import Path

from ops import pauses
from ops.cdk import PROJECT
from ops.endpoints import DEFAULT_STATE, read_endpoints
from pgevents.config import load

SUMMARY = "Let a source or a sink go on that was paused"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="SOURCE|SINK", help="a name of pipeline.toml")
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, help="the pipeline's state folder")


def run(args: argparse.Namespace) -> int:
    place = pauses.place(load(PROJECT / "pipeline.toml"), args.name)
    with pauses.reached(place, read_endpoints(args.state)) as connections:
        for source, connection in connections.items():
            held = pauses.held(connection, place.what)
            was_paused = pauses.resume(connection, place.what)
            batches = f"; {held:,} held {'batch follows' if held == 1 else 'batches follow'}" if held else ""
            print(f"{source}: {args.name} {'goes on' if was_paused else 'was not paused'}{batches}")
    return 0
