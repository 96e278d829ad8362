"""The CDK app's entry: `cdk synth -c env=prod`, or `./pgevents synth prod`, which brings its own Node."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT), str(ROOT / "lambdas"), str(ROOT / "lambdas" / "core")]

from infra.app import main  # noqa: E402
from pgevents.errors import InputError  # noqa: E402

if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"pgevents: {error}")
