"""A Lambda function as this project wants each of them: its own role, its own log group, JSON, arm64."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.acknowledgements import acknowledge

RUNTIME = lambda_.Runtime.PYTHON_3_14
ARCHITECTURE = lambda_.Architecture.ARM_64
# Before it makes a function in a VPC, Lambda tries these against every resource: it refuses narrower ones.
NETWORK_ACTIONS = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
]
RETENTION = {
    days: logs.RetentionDays[name]
    for days, name in {
        1: "ONE_DAY",
        7: "ONE_WEEK",
        14: "TWO_WEEKS",
        30: "ONE_MONTH",
        90: "THREE_MONTHS",
        180: "SIX_MONTHS",
        365: "ONE_YEAR",
    }.items()
}
"""How long a log may be kept, by the number of days."""


@dataclass(frozen=True)
class Place:
    """Where functions run."""

    vpc: ec2.IVpc
    subnets: ec2.SubnetSelection
    group: ec2.ISecurityGroup


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What one function is."""

    name: str
    package: Path
    handler: str
    memory: int
    timeout_seconds: int
    environment: Mapping[str, str]
    log_days: int
    reserved_concurrency: int | None = None


class PipelineFunction(Construct):
    """A function, its role and its logs."""

    def __init__(self, scope: Construct, id: str, shape: Shape, place: Place) -> None:
        super().__init__(scope, id)
        self.logs = logs.LogGroup(
            self,
            "Logs",
            log_group_name=f"/aws/lambda/{shape.name}",
            retention=RETENTION[shape.log_days],
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        self.role = self._role()
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=shape.name,
            runtime=RUNTIME,
            architecture=ARCHITECTURE,
            handler=shape.handler,
            # The folder is named by its content, so the hash is one and the same on every machine.
            code=lambda_.Code.from_asset(
                str(shape.package), asset_hash=shape.package.name, asset_hash_type=cdk.AssetHashType.CUSTOM
            ),
            role=self.role,
            memory_size=shape.memory,
            timeout=cdk.Duration.seconds(shape.timeout_seconds),
            reserved_concurrent_executions=shape.reserved_concurrency,
            environment=dict(shape.environment),
            vpc=place.vpc,
            vpc_subnets=place.subnets,
            security_groups=[place.group],
            recursive_loop=lambda_.RecursiveLoop.TERMINATE,
            log_group=self.logs,
            logging_format=lambda_.LoggingFormat.JSON,
        )

    def allow(self, actions: list[str], resources: list[str]) -> None:
        """Adds a statement to the function's role."""
        self.role.add_to_policy(iam.PolicyStatement(actions=actions, resources=resources))

    def follow(self, other: "PipelineFunction") -> None:
        """Has CloudFormation make and update the other function before this one."""
        earlier, later = other.function.node.default_child, self.function.node.default_child
        cast(cdk.CfnResource, later).add_resource_dependency(cast(cdk.CfnResource, earlier))

    def _role(self) -> iam.Role:
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            inline_policies={
                "Network": iam.PolicyDocument(
                    statements=[iam.PolicyStatement(actions=NETWORK_ACTIONS, resources=["*"])]
                ),
                "Logs": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(
                            actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                            resources=[self.logs.log_group_arn],
                        )
                    ]
                ),
            },
        )
        acknowledge(
            role,
            {
                "IAM5[Resource::*]": "Lambda tries these on every resource before it makes a function.",
            },
        )
        return role
