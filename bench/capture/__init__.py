"""`./pgevents bench capture`: what the triggers and the doorbell cost whoever writes.

tables.py       the source table and what is written to it
variants.py     databases that differ in how the table is captured
measurement.py  what is measured of them
memory.py       the memory of a session
Others' triggers are measured beside ours by `./pgevents bench peers`.
"""

import argparse

from bench import measure

SUMMARY = "What capture and its doorbell cost the application: rates, WAL, memory"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    measure.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """0 when every target is met, 1 when not."""
    from bench.capture import measurement

    return measure.conclude(measurement.measured(args), args)
