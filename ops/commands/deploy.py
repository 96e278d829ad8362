"""`./pgevents deploy ENV`: everything of an environment on AWS, made or brought up to date."""

import argparse

from infra.environments import chosen
from ops import cdk

SUMMARY = "Deploy an environment to AWS; asks before it widens what anybody may do"
REQUIREMENTS = "dev"

arguments = cdk.stacks_arguments


def run(args: argparse.Namespace) -> int:
    chosen(args.environment)
    return cdk.run(["deploy", *cdk.stacks(args), *args.rest])
