"""What the stacks tell an operator: outputs by names that stay; `./pgevents connect` reads most of them."""

import aws_cdk as cdk
from constructs import Construct


def output(scope: Construct, name: str, value: str) -> None:
    """An output of the scope's stack. Nothing is exported: another stack cannot hold on to it."""
    cdk.CfnOutput(scope, f"{name}Output", value=value).override_logical_id(f"{name}Output")
