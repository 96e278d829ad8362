"""`./pgevents bench cost`: dollars per million events, from durations measured here and public prices.

A whole local stack takes a slow load and a fast one; from its Lambdas' logs follow the seconds that each
needs for a batch, however small, and for each event of it. What a transaction takes in Redshift itself is
not to be had here, and is the price list's guess, for this pipeline and for a Lambda a row alike.
"""

import argparse

from bench import measure

SUMMARY = "Dollars per million events at 1, 100 and 10,000 events/s, by durations measured here"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    measure.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """0 when an event costs at most a tenth of what a Lambda for it would; 1 when not."""
    from bench.cost.measurement import measured

    return measure.conclude(measured(args), args)
