"""`./pgevents bench peers`: ours beside what else moves PostgreSQL's changes, on the same servers in one run.

Peers are Debian's packages; one that is not installed is skipped with a word.
"""

import argparse

from bench import measure

SUMMARY = "Ours beside PgQ, Londiste, Slony-I, Bucardo, native logical replication and naive triggers"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    measure.add_arguments(parser)
    parser.add_argument("--part", choices=("capture", "end-to-end"), help="one part of it only")


def run(args: argparse.Namespace) -> int:
    """0 when every target that could be measured is met; 1 when not."""
    from bench.peers import side_by_side

    return measure.conclude(side_by_side.measured(args), args)
