"""`./pgevents bench end-to-end`: from a commit in the source until a reader sees it, everything on.

A whole local stack: triggers, doorbell, Lambda service, both Lambdas, PostgreSQL sink, archive, Redshift
stand-in. First as fast as single-row transactions go, then at half of the rate at which the slower sink kept
up with that. A reader polls each sink; every row says when it was written.
"""

import argparse

from bench import measure

SUMMARY = "From commit to visible in each sink: the rate that is kept up, and the latency at half of it"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    measure.add_arguments(parser)
    parser.add_argument(
        "--transactions", type=int, metavar="N", help="how many a round, as fast as they go (20,000)"
    )
    parser.add_argument(
        "--seconds", type=float, default=15.0, metavar="S", help="of the load for the latency (15)"
    )


def run(args: argparse.Namespace) -> int:
    """0 when the latency's targets are met; 1 when not."""
    from bench.end_to_end.measurement import measured

    return measure.conclude(measured(args), args)
