"""`./pgevents up`: the whole pipeline on this machine."""

import argparse
import functools
import sys
import time
from pathlib import Path

import msgspec

from local import stack
from local.programs.environment import PROJECT
from local.stack.ports import DEFAULT_BASE
from ops.endpoints import DEFAULT_STATE, Endpoints, read_endpoints, state_option

SUMMARY = "Run the whole pipeline on this machine until Ctrl-C"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, help="the pipeline's state folder")
    parser.add_argument(
        "--port",
        type=int,
        metavar="BASE",
        help=f"first of its ports, {DEFAULT_BASE} unless it ran with others before; 0: any free ones",
    )
    parser.add_argument(
        "--detach", action="store_true", help="come back when it is ready; ./pgevents down stops it"
    )
    parser.add_argument("--json", action="store_true", help="print the endpoints as one JSON object")


def run(args: argparse.Namespace) -> int:
    started = time.monotonic()
    if args.detach:
        stack.start_detached(PROJECT, args.state, args.port)
        announce(args, started, read_endpoints(args.state))
    else:
        progress = sys.stderr if args.json else sys.stdout
        stack.up(PROJECT, args.state, args.port, progress, functools.partial(announce, args, started))
    return 0


def announce(args: argparse.Namespace, started: float, endpoints: Endpoints) -> None:
    """Says where everything is and what can be done with it."""
    if args.json:
        print(msgspec.json.encode(endpoints).decode(), flush=True)
        return
    state = state_option(args.state)
    first = next(iter(endpoints.sources.values()), "")
    lines = [f"Ready after {time.monotonic() - started:.1f} s.", ""]
    lines += [f"  {name:<22} {where}" for name, where in places(endpoints).items()]
    lines += [
        "",
        f"  psql '{first}'    changes something (any PostgreSQL client does)",
        f"  ./pgevents tail{state}      shows what goes through",
        f"  ./pgevents wait{state}      returns when everything committed so far has arrived",
        f"  ./pgevents down{state}      stops it"
        if args.detach
        else "  Ctrl-C stops it; what was committed stays",
    ]
    print("\n".join(lines), flush=True)


def places(endpoints: Endpoints) -> dict[str, str]:
    """Every endpoint by the name that a person gives it."""
    return {
        **{f"source {name}": dsn for name, dsn in endpoints.sources.items()},
        "PostgreSQL sink": endpoints.postgres,
        "Redshift stand-in": endpoints.redshift.dsn,
        "Lambda Invoke API": endpoints.lambda_,
        "S3, SQS and Secrets": endpoints.aws,
        "console": endpoints.console,
    }
