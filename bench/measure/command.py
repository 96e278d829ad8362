"""What the command lines of all benches have in common."""

import argparse
import sys

from bench.measure import publishing
from bench.measure.report import Report
from bench.measure.rounds import Tell
from pgevents.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares --quick, --rounds, --json and --publish."""
    parser.add_argument("--quick", action="store_true", help="smaller and shorter: shows that it works")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each variant is measured, in turn")
    parser.add_argument("--json", action="store_true", help="print the figures as one line of JSON")
    parser.add_argument(
        "--publish",
        action="store_true",
        help="write the figures and plots into docs/reference/performance.md",
    )


def rounds(args: argparse.Namespace, usual: int, quick: int = 2) -> int:
    """How many rounds: as asked, else the bench's own number. Raises InputError for fewer than one."""
    if args.rounds is None:
        return quick if args.quick else usual
    if args.rounds < 1:
        raise InputError(f"--rounds {args.rounds}: at least one is needed")
    return int(args.rounds)


def teller(args: argparse.Namespace) -> Tell:
    """Prints progress as it comes; to standard error when standard output is for a program."""
    return lambda line: print(f"  {line}", file=sys.stderr if args.json else sys.stdout, flush=True)


def conclude(report: Report, args: argparse.Namespace) -> int:
    """Prints the report, publishes it when asked to; 0 when every target is met, else 1.

    Raises InputError when a quick run, whose figures mean little, is to be published.
    """
    print(report.json() if args.json else f"\n{report.text()}")
    if args.publish:
        if args.quick:
            raise InputError("--publish takes no figures of a --quick run; leave one of them out")
        publishing.publish(report)
    return 0 if report.targets_met else 1
