"""`python -m ops.console --state DIR --port PORT`: serves the console of a running pipeline on loopback."""

import argparse
import sys
from pathlib import Path

from aiohttp import web

from ops.console.server import application
from pgevents.errors import InputError


def main() -> int:
    """Serves until it is ended; 2 when the port is in use."""
    parser = argparse.ArgumentParser(prog="python -m ops.console")
    parser.add_argument("--state", type=Path, required=True, help="the pipeline's state folder")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    try:
        web.run_app(application(arguments.state), host="127.0.0.1", port=arguments.port, print=_announce)
    except OSError as error:
        raise InputError(f"console port {arguments.port}: {error.strerror}; choose another --port") from error
    return 0


def _announce(line: str) -> None:
    """Tells the supervisor once that the page is served."""
    if "Running on" in line:
        print("console ready", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        print(f"pgevents: {error}", file=sys.stderr)
        sys.exit(2)
