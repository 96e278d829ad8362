"""`./pgevents deploy ENV`: everything of an environment on AWS, made or brought up to date."""

import argparse

from infra.environments import chosen
from ops import cdk

SUMMARY = "Deploy an environment to AWS; asks before it widens what anybody may do"
REQUIREMENTS = "dev"

arguments = cdk.stacks_arguments
_KEEPS_WHAT_FAILED = {"--no-rollback", "-R", "--rollback=false"}


def run(args: argparse.Namespace) -> int:
    chosen(args.environment)
    return cdk.run(command(args))


def command(args: argparse.Namespace) -> list[str]:
    """What the CDK's command line is told.

    A stack knows the others' resources by the names of their outputs. When one is replaced, its readers'
    templates stay as they are, and the CDK would pass them over: `--force` has CloudFormation look at them.
    Not with `--no-rollback`, where it would also roll back what was to be kept, without a question.
    """
    force = [] if _KEEPS_WHAT_FAILED & set(args.rest) else ["--force"]
    return ["deploy", *cdk.stacks(args), *force, *args.rest]
