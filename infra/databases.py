"""The databases: an RDS instance and a proxy for every source and every PostgreSQL sink of pipeline.toml."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secrets
from constructs import Construct

from infra.acknowledgements import acknowledge
from infra.functions import RETENTION
from infra.names import Names, construct_id, function_arn
from infra.network import Network, SecurityGroups
from infra.outputs import output
from infra.removal import KEPT, POLICIES
from infra.settings import Environment, ExistingDatabase, NewDatabases, major_part
from pgevents.config import Pipeline, PostgresSink
from pgevents.settings import Connection

_PORT = 5432
_LOG = "postgresql"
# A drain that was cut off must not keep its lock behind the proxy: its half-open connection goes after this.
_IDLE_CLIENT = cdk.Duration.minutes(2)


@dataclass(frozen=True)
class Database:
    """How a database is reached: directly by the installer, through its proxy by the transform Lambda.

    `major_version` is PostgreSQL's, or nothing where an existing database does not say it.
    """

    direct: Connection
    proxied: Connection
    proxy_resource_id: str
    major_version: str
    instance_id: str | None = None


def database_names(pipeline: Pipeline) -> Iterator[str]:
    """Every name in pipeline.toml that is a PostgreSQL database: the sources, then the sinks."""
    yield from pipeline.sources
    yield from pipeline.sinks_of(PostgresSink)


class Databases(cdk.Stack):
    """One instance and one proxy a database, all alike."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        environment: Environment,
        pipeline: Pipeline,
        names: Names,
        network: Network,
    ) -> None:
        super().__init__(scope, id, description="pgevents: databases and their proxies")
        self._names = names
        self._network = network
        self._groups = network.groups.seen_from(self)
        new = [name for name in database_names(pipeline) if name not in environment.existing_databases]
        self.databases = {name: _existing(there) for name, there in environment.existing_databases.items()}
        if new:
            shared = self._shared(environment.databases, environment.network.dual_stack)
            for name in new:
                self.databases[name] = self._new(name, shared, name in pipeline.sources)

    def _shared(self, settings: NewDatabases, dual_stack: bool) -> "Shared":
        return Shared(
            settings=settings,
            dual_stack=dual_stack,
            vpc=self._network.vpc,
            subnets=rds.SubnetGroup(
                self,
                "Subnets",
                description="pgevents: private subnets",
                vpc=self._network.vpc,
                vpc_subnets=self._network.private,
            ),
            private=self._network.private,
            groups=self._groups,
        )

    def _new(self, name: str, shared: "Shared", is_source: bool) -> Database:
        made = PostgresDatabase(self, construct_id(name), name, self._names, shared)
        if is_source:
            made.let_invoke(function_arn(self, self._names.transform))
        return made.reached_by


@dataclass(frozen=True)
class Shared:
    """What all databases of an environment have in common."""

    settings: NewDatabases
    dual_stack: bool
    vpc: ec2.IVpc
    private: ec2.SubnetSelection
    subnets: rds.SubnetGroup
    groups: SecurityGroups


class PostgresDatabase(Construct):
    """An RDS for PostgreSQL instance behind its own RDS Proxy."""

    def __init__(self, scope: Construct, id: str, name: str, names: Names, shared: Shared) -> None:
        super().__init__(scope, id)
        self._names = names
        self.instance = self._instance(name, shared)
        self.secret = _managed_secret(self.instance)
        self.proxy = self._proxy(name, shared)
        self.reached_by = Database(
            direct=Connection(
                self.instance.db_instance_endpoint_address,
                _PORT,
                name,
                names.admin,
                secret=self.secret.secret_arn,
                sslmode="require",
            ),
            proxied=Connection(self.proxy.endpoint, _PORT, name, names.admin, iam=True, sslmode="require"),
            proxy_resource_id=self._proxy_resource_id(),
            major_version=major_part(shared.settings.version),
            instance_id=self.instance.instance_identifier,
        )
        output(self, f"{id}Endpoint", self.instance.db_instance_endpoint_address)
        output(self, f"{id}Secret", self.secret.secret_arn)

    def let_invoke(self, function_arn: str) -> None:
        """Lets the database's commits ring the doorbell: one function, and nothing else."""
        account = cdk.Stack.of(self).account
        role = iam.Role(
            self,
            "DoorbellRole",
            assumed_by=iam.ServicePrincipal(
                "rds.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": account}}
            ),
            inline_policies={
                "Doorbell": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[function_arn])
                    ]
                )
            },
        )
        cfn = cast(rds.CfnDBInstance, self.instance.node.default_child)
        cfn.associated_roles = [
            rds.CfnDBInstance.DBInstanceRoleProperty(feature_name="Lambda", role_arn=role.role_arn)
        ]

    def _instance(self, name: str, shared: Shared) -> rds.DatabaseInstance:
        settings, engine = shared.settings, _engine(shared.settings.version)
        instance = rds.DatabaseInstance(
            self,
            "Instance",
            engine=engine,
            instance_identifier=self._names.database(name),
            database_name=name,
            instance_type=ec2.InstanceType(settings.instance_type),
            credentials=rds.Credentials.from_username(self._names.admin),
            manage_master_user_password=True,
            vpc=shared.vpc,
            subnet_group=shared.subnets,
            security_groups=[shared.groups.databases],
            network_type=rds.NetworkType.DUAL if shared.dual_stack else rds.NetworkType.IPV4,
            publicly_accessible=False,
            iam_authentication=True,
            storage_encrypted=True,
            storage_type=rds.StorageType.GP3,
            allocated_storage=settings.storage_gib,
            max_allocated_storage=settings.storage_limit_gib,
            multi_az=settings.multi_az,
            backup_retention=cdk.Duration.days(settings.backup_days),
            copy_tags_to_snapshot=True,
            delete_automated_backups=settings.keep == "destroy",
            deletion_protection=settings.keep != "destroy",
            removal_policy=POLICIES[settings.keep],
            auto_minor_version_upgrade=True,
            allow_major_version_upgrade=True,  # when the environment says another one, and never else
            cloudwatch_logs_exports=[_LOG],
            parameter_group=self._parameters(engine),
        )
        kept = KEPT if settings.keep == "retain" else cdk.RemovalPolicy.DESTROY
        log = f"/aws/rds/instance/{self._names.database(name)}/{_LOG}"
        instance.node.add_dependency(self._logs("InstanceLogs", log, settings.log_days, kept))
        acknowledge(instance, _instance_reasons(settings))
        return instance

    def _logs(self, id: str, name: str, days: int, policy: cdk.RemovalPolicy) -> logs.LogGroup:
        """Made before who writes into it, who else would make it himself and keep everything for ever."""
        return logs.LogGroup(self, id, log_group_name=name, retention=RETENTION[days], removal_policy=policy)

    def _parameters(self, engine: rds.IInstanceEngine) -> rds.ParameterGroup:
        return rds.ParameterGroup(
            self,
            "Parameters",
            engine=engine,
            description="pgevents: TLS only, and the doorbell through an endpoint",
            parameters={
                "rds.force_ssl": "1",
                # Without it the server asks a resolver that does not know the VPC's endpoint for Lambda.
                "rds.custom_dns_resolution": "1",
            },
        )

    def _proxy(self, name: str, shared: Shared) -> rds.DatabaseProxy:
        proxy = rds.DatabaseProxy(
            self,
            "Proxy",
            proxy_target=rds.ProxyTarget.from_instance(self.instance),
            db_proxy_name=self._names.database(name),
            secrets=[self.secret],
            vpc=shared.vpc,
            vpc_subnets=shared.private,
            security_groups=[shared.groups.proxies],
            iam_auth=True,
            require_tls=True,
            idle_client_timeout=_IDLE_CLIENT,
            max_connections_percent=shared.settings.proxy_connections_percent,
        )
        log = f"/aws/rds/proxy/{self._names.database(name)}"
        proxy.node.add_dependency(
            self._logs("ProxyLogs", log, shared.settings.log_days, cdk.RemovalPolicy.DESTROY)
        )
        return proxy

    def _proxy_resource_id(self) -> str:
        """The `prx-...` that IAM knows the proxy by, as an output: only this stack can take the ARN apart."""
        stack = cdk.Stack.of(self)
        output = cdk.CfnOutput(
            self, "ProxyResourceId", value=cdk.Fn.select(6, cdk.Fn.split(":", self.proxy.db_proxy_arn))
        )
        return cdk.Fn.get_stack_output(stack.stack_name, stack.get_logical_id(output))


def _engine(version: str) -> rds.IInstanceEngine:
    return rds.DatabaseInstanceEngine.postgres(
        version=rds.PostgresEngineVersion.of(version, major_part(version))
    )


def _managed_secret(instance: rds.DatabaseInstance) -> secrets.ISecret:
    """The secret that RDS itself makes and rotates."""
    if instance.secret is None:
        raise AssertionError("an instance with a managed password has a secret")
    return instance.secret


def _instance_reasons(settings: NewDatabases) -> dict[str, str]:
    reasons = {
        "RDS11": "5432 is what query tools expect; who may reach it is a matter of the security groups."
    }
    if not settings.multi_az:
        reasons["RDS3"] = "This environment may be down for as long as a restore takes."
    if settings.keep == "destroy":
        reasons["RDS10"] = "This environment is to go with its stack."
    return reasons


def _existing(there: ExistingDatabase) -> Database:
    return Database(
        direct=Connection(
            there.host,
            there.port,
            there.database,
            there.user,
            secret=there.secret_arn,
            sslmode=there.sslmode,
        ),
        proxied=Connection(
            there.proxy_host, there.port, there.database, there.user, iam=True, sslmode=there.sslmode
        ),
        proxy_resource_id=there.proxy_resource_id,
        major_version=major_part(there.version),
    )
