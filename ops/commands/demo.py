"""`./pgevents demo`: the whole pipeline on this machine, on real input, verified row by row."""

import argparse
import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from demo.demonstration import demonstrate
from local.programs.environment import PROJECT
from local.stack import running
from ops.comparison.sinks import compare_sinks
from pgevents.config import load
from pgevents.errors import InputError

SUMMARY = "Run the whole pipeline here on real input, show what arrived and verify every row"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", type=Path, metavar="DIR", help="an empty folder to run in, and to keep")
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder that it runs in")


def run(args: argparse.Namespace) -> int:
    console = Console()
    pipeline = load(PROJECT / "pipeline.toml")
    with _state_folder(args.state, args.keep) as state, contextlib.ExitStack() as stack:
        started = time.monotonic()
        with console.status("  starting databases, Lambdas, S3 and the Redshift stand-in"):
            endpoints = stack.enter_context(running(PROJECT, state))
        console.print(f"  The pipeline runs after {time.monotonic() - started:.1f} s.\n", highlight=False)
        equal = demonstrate(console, endpoints.sources, lambda: compare_sinks(pipeline, endpoints))
    if args.state or args.keep:
        again = f"  Kept in {state}; ./pgevents up --state '{state}' runs it again."
        console.print(f"\n{again}", highlight=False, soft_wrap=True)
    return 0 if equal else 1


@contextlib.contextmanager
def _state_folder(chosen: Path | None, keep: bool) -> Iterator[Path]:
    """The folder to run in: the chosen one, or a temporary one that goes with the demo unless it is kept.

    Raises InputError for a chosen folder that is not empty: the demo counts from nothing.
    """
    if chosen is not None:
        if chosen.exists() and (not chosen.is_dir() or any(chosen.iterdir())):
            raise InputError(f"{chosen} is not an empty folder; the demo starts from nothing: name another")
        yield chosen.absolute()
    elif keep:
        yield Path(tempfile.mkdtemp(prefix="pgevents-demo-"))
    else:
        with tempfile.TemporaryDirectory(prefix="pgevents-demo-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
