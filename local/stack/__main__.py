"""`python -m local.stack --project DIR --state DIR [--port BASE]`: a supervisor as a process of its own."""

import argparse
import sys
from pathlib import Path

from local.stack.supervisor import up
from pgevents.errors import InputError, PgEventsError


def main(arguments: list[str]) -> int:
    """0 after a signal, 130 after one before it was ready, 1 when something failed, 2 for wrong input."""
    parser = argparse.ArgumentParser(prog="python -m local.stack")
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--port", type=int)
    options = parser.parse_args(arguments)
    try:
        up(options.project, options.state, options.port, sys.stdout, lambda endpoints: None)
    except PgEventsError as error:
        print(f"pgevents: {error}", file=sys.stderr, flush=True)
        return 2 if isinstance(error, InputError) else 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
