"""`./pgevents down`: stops what `./pgevents up` started."""

import argparse
import time
from pathlib import Path

from local import stack
from ops.endpoints import DEFAULT_STATE

SUMMARY = "Stop the pipeline that runs on this machine; what was committed stays"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, help="the pipeline's state folder")


def run(args: argparse.Namespace) -> int:
    started = time.monotonic()
    if stack.stop(args.state):
        print(f"stopped after {time.monotonic() - started:.1f} s")
    else:
        print(f"nothing runs with the state folder {args.state}")
    return 0
