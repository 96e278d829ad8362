"""The triggers in the sources, as a custom resource: installed and upgraded when their SQL, pipeline.toml or
the databases' major version changes."""

import hashlib

import aws_cdk as cdk
import msgspec
from aws_cdk import aws_logs as logs
from aws_cdk import custom_resources as cr
from constructs import Construct

from infra.acknowledgements import acknowledge, logical_id
from infra.databases import Database
from infra.functions import PipelineFunction, Place, Shape
from infra.names import Names, construct_id
from infra.packages import Packages
from infra.settings import Capture, Environment
from pgevents.config import Pipeline, Source
from pgevents.settings import Connections

RESOURCE_TYPE = "Custom::PgEventsTriggers"
_TIMEOUT_SECONDS = 300


class Triggers(Construct):
    """One custom resource a source, all through one function that reaches the sources themselves."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        environment: Environment,
        pipeline: Pipeline,
        names: Names,
        packages: Packages,
        place: Place,
        databases: dict[str, Database],
    ) -> None:
        super().__init__(scope, id)
        sources = {name: databases[name].direct for name in pipeline.sources}
        self._installer = PipelineFunction(
            self,
            "Installer",
            Shape(
                name=names.installer,
                package=packages.trigger_installer,
                handler="trigger_installer.handler.handle",
                memory=512,
                timeout_seconds=_TIMEOUT_SECONDS,
                log_days=environment.functions.log_days,
                environment={
                    "PGEVENTS_CONNECTIONS": msgspec.json.encode(Connections(sources)).decode(),
                    "PGEVENTS_TRANSFORM_FUNCTION": names.transform,
                },
            ),
            place,
        )
        self._installer.allow(
            ["secretsmanager:GetSecretValue"], [connection.secret for connection in sources.values()]
        )
        provider = self._provider()
        for name, source in pipeline.sources.items():
            self._install(
                name, source, databases[name].major_version, provider, packages, environment.capture
            )

    def _install(
        self,
        name: str,
        source: Source,
        postgres: str,
        provider: cr.Provider,
        packages: Packages,
        capture: Capture,
    ) -> None:
        cdk.CustomResource(
            self,
            construct_id(name),
            resource_type=RESOURCE_TYPE,
            service_token=provider.service_token,
            properties={
                "Source": name,
                "RemoveOnDelete": str(capture.remove_on_delete).lower(),
                # Only these make CloudFormation call again: the SQL, what the file says of this source, and
                # PostgreSQL's major version, since event triggers have to go before RDS upgrades to another.
                "Sql": packages.sql,
                "Captured": hashlib.sha256(msgspec.json.encode(source)).hexdigest()[:16],
                "PostgresVersion": postgres,
            },
        )

    def _provider(self) -> cr.Provider:
        group = logs.LogGroup(
            self,
            "ProviderLogs",
            retention=logs.RetentionDays.ONE_MONTH,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        provider = cr.Provider(self, "Provider", on_event_handler=self._installer.function, log_group=group)
        basic = "arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
        versions = f"<{logical_id(self._installer.function)}.Arn>:*"
        acknowledge(
            provider,
            {
                f"IAM4[Policy::{basic}]": "CDK's own function, with AWS's policy for writing logs.",
                f"IAM5[Resource::{versions}]": "CDK's own function may call the installer, in any version.",
                "L1": "CDK chooses the runtime of its own function.",
            },
        )
        return provider
