"""`./pgevents destroy ENV`: an environment's stacks deleted; databases are kept as its settings say."""

import argparse

from infra.environments import chosen
from ops import cdk

SUMMARY = "Delete an environment's stacks; asks first, and keeps what the environment says to keep"
REQUIREMENTS = "dev"

arguments = cdk.stacks_arguments


def run(args: argparse.Namespace) -> int:
    chosen(args.environment)
    return cdk.run(["destroy", *cdk.stacks(args), *args.rest])
