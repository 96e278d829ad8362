"""`./pgevents bench transform`: how fast captured events become a batch, and how small that is on its way."""

import argparse

from bench import measure

SUMMARY = "Route events with and without a transform; encode a batch for the writer"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    measure.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """0 when every target is met, 1 when not."""
    from bench.transform.routing import measured

    return measure.conclude(measured(args), args)
