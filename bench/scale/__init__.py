"""`./pgevents bench scale`: fifty sources instead of one, a backlog ten times as long, a source in shards.

One PostgreSQL server with a database a source and one for the sink; the drain runs in this process, one
source after the other, as fifty Lambdas do side by side, and each shard in a thread of its own. Handing on to
Redshift is left out there. What shards cost is measured on whole stacks besides, with everything on.
"""

import argparse

from bench import measure

SUMMARY = "What an event costs with 50 sources, ten times the backlog, and one source in shards"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    measure.add_arguments(parser)
    parser.add_argument("--sources", type=int, default=50, metavar="N", help="how many (50)")
    parser.add_argument("--events", type=int, metavar="N", help="of the longer backlog (50,000)")


def run(args: argparse.Namespace) -> int:
    """0 when cost and time grow no faster than they may; 1 when not."""
    from bench.scale.measurement import measured

    return measure.conclude(measured(args), args)
