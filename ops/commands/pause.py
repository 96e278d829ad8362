"""`./pgevents pause`: stops a source or a sink, and nothing else."""

import argparse
from pathlib import Path

from ops import pauses
from ops.cdk import PROJECT
from ops.endpoints import DEFAULT_STATE, read_endpoints, state_option
from ops.operator import operator
from pgevents.config import load

SUMMARY = "Stop a source or a sink until it is resumed; the others go on"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="SOURCE|SINK", help="a name of pipeline.toml")
    parser.add_argument("--reason", default="", help="why, for those who look at the status")
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, help="the pipeline's state folder")


def run(args: argparse.Namespace) -> int:
    place = pauses.place(load(PROJECT / "pipeline.toml"), args.name)
    with pauses.reached(place, read_endpoints(args.state)) as connections:
        for source, connection in connections.items():
            before = pauses.pause(connection, place.what, operator(), args.reason)
            if before is not None:
                why = f": {before.reason}" if before.reason else ""
                print(f"{args.name} is paused in {source} already, by {before.by or 'somebody'}{why}")
    ends = f"./pgevents resume {args.name}{state_option(args.state)} ends it"
    if place.what == pauses.SOURCE:
        print(f"{args.name} is paused: its events stay where they are. {ends}")
    else:
        print(
            f"{args.name} is paused in {', '.join(place.sources)}: batches are held for it, and other sinks"
            f" go on. What is under way may still reach it. {ends}"
        )
    return 0
