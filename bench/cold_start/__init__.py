"""`./pgevents bench cold-start`: what the first event of a Lambda waits for, its imports.

Each import is in a fresh interpreter, from the folder that is deployed, on the search path that AWS has;
processor time, which a machine that does other things besides stretches less than it stretches waiting.
"""

import argparse

from bench import measure

SUMMARY = "What importing each Lambda's handler takes, from its package in a fresh interpreter"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    measure.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """0 when every target is met, 1 when not."""
    from bench.cold_start.importing import measured

    return measure.conclude(measured(args), args)
