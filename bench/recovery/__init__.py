"""`./pgevents bench recovery`: what happens after the pipeline was dead for a million changes.

A whole local stack, its Lambdas stopped; changes are committed; the Lambdas come back, and nobody does
anything else. Measured until every sink equals the source and the outbox has given its space back.
"""

import argparse

SUMMARY = "Catch up after the pipeline was dead for 1,000,000 changes: rate, memory, space"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("--changes", type=int, metavar="N", help="how many while it is dead (1,000,000)")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the changes")
    parser.add_argument(
        "--workload", default="mixed", choices=("mixed", "wide", "transaction", "value"),
        help="mixed kinds of changes; rows of 100 kB; one transaction of 300,000 rows; a value of 40 MB",
    )  # fmt: skip
    parser.add_argument(
        "--alive", type=int, metavar="RATE", help="mixed only: the Lambdas run; so many changes a second"
    )
    parser.add_argument("--memory", type=int, default=256, metavar="MB", help="of each Lambda (256)")
    parser.add_argument("--seed", type=int, default=1, help="what the changes are drawn from (1)")
    parser.add_argument(
        "--timeout", type=float, default=1_800.0, metavar="S", help="seconds to catch up in (1800)"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """0 when it caught up, equal and within its memory; 1 when not."""
    from bench.recovery.recovery import measured, shown

    figures = measured(args)
    print(shown(figures, args.json))
    return 0 if figures.passed else 1
