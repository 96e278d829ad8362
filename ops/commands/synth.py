"""`./pgevents synth [ENV]`: the templates of one environment or of all, checked, without AWS or a network."""

import argparse

from infra.environments import chosen
from ops import cdk

SUMMARY = "Write and check the CloudFormation templates; needs no account and no network"
REQUIREMENTS = "dev"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "environment", metavar="ENV", nargs="?", help="an environment of infra/environments.py; all without"
    )
    parser.set_defaults(rest=[])


def run(args: argparse.Namespace) -> int:
    environments = chosen(args.environment)
    selected = ["--context", f"env={args.environment}"] if args.environment else []
    # A pattern, because without one the stacks of a Stage are neither written nor checked.
    code = cdk.run(["synth", "**", "--quiet", "--no-lookups", *selected, *args.rest])
    if code == 0:
        names = ", ".join(environment.name for environment in environments)
        print(f"cdk.out: {len(cdk.STACKS)} stacks each for {names}")
    return code
