"""`./pgevents bench faults`: attacks a whole pipeline, run after run, and judges each by every row.

kinds/         what strikes: every kind of fault, by what it strikes
boundaries.py  the names of the code's steps
arena.py       a stack whose parts can be killed, frozen, cut off
running.py     one run: empty tables, a fault, traffic, recovery, a verdict
verdict.py     the ledger, every row of every sink, the traffic's own record
traffic/       the traffic and its record
worker.py      a process with an arena of its own; campaign.py gives the workers their runs
report.py      the table of docs/reference/faults.md and README.md, from the results of real runs
"""

import argparse
from pathlib import Path

SUMMARY = "Attack the whole pipeline with every kind of fault, and judge it by every row"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, metavar="N", help="start no more runs after so long")
    parser.add_argument("--seeds", type=int, metavar="N", help="how many seeds each kind (1)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="the first seed (1)")
    parser.add_argument("--kinds", metavar="A,B", help="only the kinds whose names contain one of these")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="stacks side by side (2)")
    parser.add_argument("--list", action="store_true", help="list the kinds and run none")
    parser.add_argument("--json", action="store_true", help="print each result as one line of JSON")
    parser.add_argument(
        "--evidence", type=Path, metavar="DIR", help="where to keep what is left of failed runs"
    )
    parser.add_argument(
        "--log", type=Path, metavar="FILE", help="add each result to this file, a line of JSON each"
    )
    parser.add_argument(
        "--resume", action="store_true", help="leave out the runs that --log has: a long attack in pieces"
    )
    parser.add_argument(
        "--publish",
        type=Path,
        nargs="+",
        metavar="LOG",
        help="run nothing; write the results of these logs into docs/reference/faults.md and README.md",
    )
    parser.add_argument(
        "--add", action="store_true", help="with --publish: add the logs to what is published already"
    )


def run(args: argparse.Namespace) -> int:
    from bench.faults import campaign

    return campaign.command(args)
