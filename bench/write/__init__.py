"""`./pgevents bench write`: batches into the stand-in for Redshift, by the writer and by simpler ways.

Everything is real but Redshift: the driver, an S3, the stand-in on its port with PostgreSQL behind it, whose
work is in every figure. What it says of the writer is the processor time beside the rate.
"""

import argparse

from bench import measure

SUMMARY = (
    "Batches of 10,000 rows into Redshift: the writer beside single statements, bound values, plain literals"
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    measure.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """0 when every target is met, 1 when not."""
    from bench.write.writing import measured

    return measure.conclude(measured(args), args)
