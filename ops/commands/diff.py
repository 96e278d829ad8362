"""`./pgevents diff ENV`: what a deployment would change."""

import argparse

from infra.environments import chosen
from ops import cdk

SUMMARY = "Show what a deployment of an environment would change on AWS"
REQUIREMENTS = "dev"

arguments = cdk.stacks_arguments


def run(args: argparse.Namespace) -> int:
    chosen(args.environment)
    return cdk.run(["diff", *cdk.stacks(args), *args.rest])
