"""`./pgevents bench drain`: how fast the drain reads a backlog, and whether it stays so for minutes.

The backlog is captured by the real triggers. Of it, the drain opens batches, reads each as typed events, and
marks it; the baselines are outboxes of jsonb, taken as most people take theirs.
"""

import argparse

from bench import measure

SUMMARY = "Read a backlog of 1,000,000 events; with --minutes, for so long beside a writer"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    measure.add_arguments(parser)
    parser.add_argument("--events", type=int, metavar="N", help="how many wait (1,000,000; quick: 100,000)")
    parser.add_argument(
        "--minutes", type=float, metavar="M", help="measure sustained load for so long instead"
    )
    parser.add_argument("--rate", type=int, default=2_500, metavar="R", help="events a second then (2,500)")


def run(args: argparse.Namespace) -> int:
    """0 when every target is met, 1 when not."""
    from bench.drain.backlog import backlog
    from bench.drain.sustained import sustained

    return measure.conclude(sustained(args) if args.minutes else backlog(args), args)
