"""`./pgevents wait`: returns when everything that had committed when it was called has been applied."""

import argparse
import json
import sys
from pathlib import Path

from ops.endpoints import DEFAULT_STATE, read_endpoints, state_option
from ops.status.waiting import wait_until_applied
from pgevents.errors import InputError

SUMMARY = "Wait until everything committed so far has been applied"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, help="the pipeline's state folder")
    parser.add_argument(
        "--timeout", type=float, default=300.0, metavar="SECONDS", help="give up after so long (300)"
    )
    parser.add_argument("--json", action="store_true", help="print what is left as JSON")


def run(args: argparse.Namespace) -> int:
    if not args.timeout >= 0:
        raise InputError(f"--timeout {args.timeout:g}: expected 0 or more seconds")
    outcome = wait_until_applied(read_endpoints(args.state).sources, args.timeout)
    if args.json:
        print(json.dumps({"unapplied": outcome.unapplied, "dead_letters": outcome.dead_letters}))
        return 0 if outcome.everything_applied else 1
    for source, events in outcome.unapplied.items():
        if events:
            print(f"{source}: {events:,} events not applied after {args.timeout:g} s", file=sys.stderr)
    for source, events in outcome.dead_letters.items():
        if events:
            print(
                f"{source}: {events:,} events wait in the dead-letter store; "
                f"see ./pgevents status{state_option(args.state)}",
                file=sys.stderr,
            )
    return 0 if outcome.everything_applied else 1
