"""The warehouse: Redshift, serverless or provisioned or there already, and the role that COPY reads with."""

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_redshift as redshift
from aws_cdk import aws_redshiftserverless as serverless
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secrets
from constructs import Construct

from infra.acknowledgements import acknowledge
from infra.names import Names
from infra.network import Network
from infra.outputs import output
from infra.removal import KEPT, POLICIES
from infra.settings import (
    Environment,
    ExistingWarehouse,
    ProvisionedWarehouse,
    ServerlessWarehouse,
)
from pgevents.settings import Connection

DATABASE = "pgevents"
_PORT = 5439
_AUDIT_DAYS = 90


@dataclass(frozen=True)
class Reach:
    """How the writer gets to Redshift."""

    connection: Connection
    secret_arn: str


class Warehouse(cdk.Stack):
    """One Redshift, and what it may read."""

    def __init__(
        self, scope: Construct, id: str, environment: Environment, names: Names, network: Network
    ) -> None:
        super().__init__(scope, id, description="pgevents: warehouse")
        self._names = names
        self._network = network
        self._group = network.groups.seen_from(self).warehouse
        match environment.warehouse:
            case ServerlessWarehouse() as settings:
                self.copy_role: iam.IRole = self._copy_role("redshift-serverless.amazonaws.com")
                self.reach = self._serverless(settings)
            case ProvisionedWarehouse() as settings:
                self.copy_role = self._copy_role("redshift.amazonaws.com")
                self.reach = self._provisioned(settings)
            case ExistingWarehouse() as there:
                self.copy_role = iam.Role.from_role_arn(self, "CopyRole", there.copy_role_arn)
                self.reach = _reach(there.host, there.port, there.database, there.user, there.secret_arn)
                return
        output(self, "WarehouseEndpoint", self.reach.connection.host)
        output(self, "WarehouseSecret", self.reach.secret_arn)

    def _copy_role(self, service: str) -> iam.Role:
        """What it may read is granted where the bucket is.

        Redshift of either kind says for which account it takes the role on:
        https://docs.aws.amazon.com/redshift/latest/mgmt/cross-service-confused-deputy-prevention.html
        """
        # Not aws:SourceArn, which that page has too: where others tried, Redshift Serverless did not get the
        # role with any form of its workgroup's ARN, and did with the account alone.
        return iam.Role(
            self,
            "CopyRole",
            assumed_by=iam.CompositePrincipal(
                *(
                    iam.ServicePrincipal(
                        name, conditions={"StringEquals": {"aws:SourceAccount": self.account}}
                    )
                    for name in dict.fromkeys([service, "redshift.amazonaws.com"])
                )
            ),
        )

    def _serverless(self, settings: ServerlessWarehouse) -> Reach:
        secret = self._secret()
        namespace = serverless.CfnNamespace(
            self,
            "Namespace",
            namespace_name=self._names.warehouse,
            db_name=DATABASE,
            admin_username=self._names.admin,
            admin_user_password=secret.secret_value_from_json("password").unsafe_unwrap(),
            iam_roles=[self.copy_role.role_arn],
            default_iam_role_arn=self.copy_role.role_arn,
            log_exports=["userlog", "connectionlog", "useractivitylog"],
            final_snapshot_name=None if settings.keep == "destroy" else self._final_snapshot(),
            final_snapshot_retention_period=None if settings.keep == "destroy" else _AUDIT_DAYS,
        )
        # CloudFormation knows no snapshot policy for a namespace: it takes the final one named above itself.
        namespace.apply_removal_policy(KEPT if settings.keep == "retain" else cdk.RemovalPolicy.DESTROY)
        workgroup = serverless.CfnWorkgroup(
            self,
            "Workgroup",
            workgroup_name=self._names.warehouse,
            namespace_name=namespace.namespace_name,
            base_capacity=settings.base_capacity,
            max_capacity=settings.max_capacity,
            enhanced_vpc_routing=True,
            publicly_accessible=False,
            port=_PORT,
            security_group_ids=[self._group.security_group_id],
            subnet_ids=self._subnet_ids(),
            config_parameters=[
                serverless.CfnWorkgroup.ConfigParameterProperty(
                    parameter_key="require_ssl", parameter_value="true"
                )
            ],
        )
        workgroup.add_resource_dependency(namespace)
        return _reach(
            workgroup.attr_workgroup_endpoint_address, _PORT, DATABASE, self._names.admin, secret.secret_arn
        )

    def _final_snapshot(self) -> str:
        """A name of this stack's own, by the id that CloudFormation gave it when it was made.

        A snapshot outlives its namespace, and the next stack of this name could take none by the same.
        """
        made = cdk.Fn.select(2, cdk.Fn.split("/", self.stack_id))
        return f"{self._names.warehouse}-final-{made}"

    def _secret(self) -> secrets.Secret:
        """CloudFormation cannot name the secret that a namespace would make itself, so it gets one."""
        secret = secrets.Secret(
            self,
            "Secret",
            description="pgevents: Redshift's administrator",
            generate_secret_string=secrets.SecretStringGenerator(
                secret_string_template=f'{{"username": "{self._names.admin}"}}',
                generate_string_key="password",
                password_length=40,
                exclude_punctuation=True,
            ),
        )
        acknowledge(
            secret, {"SMG4": "A new value reaches the namespace by a deployment only; nobody else knows it."}
        )
        return secret

    def _provisioned(self, settings: ProvisionedWarehouse) -> Reach:
        audit = self._audit_bucket()
        cluster = redshift.CfnCluster(
            self,
            "Cluster",
            cluster_identifier=self._names.warehouse,
            cluster_type="multi-node" if settings.nodes > 1 else "single-node",
            number_of_nodes=settings.nodes if settings.nodes > 1 else None,
            node_type=settings.node_type,
            db_name=DATABASE,
            master_username=self._names.admin,
            manage_master_password=True,
            iam_roles=[self.copy_role.role_arn],
            cluster_subnet_group_name=redshift.CfnClusterSubnetGroup(
                self, "Subnets", description="pgevents: private subnets", subnet_ids=self._subnet_ids()
            ).ref,
            cluster_parameter_group_name=self._parameters().ref,
            vpc_security_group_ids=[self._group.security_group_id],
            enhanced_vpc_routing=True,
            publicly_accessible=False,
            encrypted=True,
            port=_PORT,
            allow_version_upgrade=True,
            automated_snapshot_retention_period=settings.snapshot_days,
            logging_properties=redshift.CfnCluster.LoggingPropertiesProperty(
                bucket_name=audit.bucket_name, s3_key_prefix="redshift/"
            ),
        )
        cluster.node.add_dependency(audit)
        cluster.apply_removal_policy(POLICIES[settings.keep])
        acknowledge(
            cluster, {"RS4": "5439 is what query tools expect; the security groups say who may come."}
        )
        return _reach(
            cluster.attr_endpoint_address,
            _PORT,
            DATABASE,
            self._names.admin,
            cluster.attr_master_password_secret_arn,
        )

    def _parameters(self) -> redshift.CfnClusterParameterGroup:
        chosen = {"require_ssl": "true", "enable_user_activity_logging": "true"}
        return redshift.CfnClusterParameterGroup(
            self,
            "Parameters",
            description="pgevents: TLS only, and who did what",
            parameter_group_family="redshift-1.0",
            parameters=[
                redshift.CfnClusterParameterGroup.ParameterProperty(
                    parameter_name=name, parameter_value=value
                )
                for name, value in chosen.items()
            ],
        )

    def _audit_bucket(self) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            "Audit",
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=KEPT,
            lifecycle_rules=[s3.LifecycleRule(expiration=cdk.Duration.days(_AUDIT_DAYS))],
        )
        # Either key may say on whose behalf the logs come:
        # https://docs.aws.amazon.com/redshift/latest/mgmt/db-auditing.html
        redshift_service = iam.ServicePrincipal(
            "redshift.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": self.account}}
        )
        bucket.grant_put(redshift_service, "redshift/*")
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["s3:GetBucketAcl"], principals=[redshift_service], resources=[bucket.bucket_arn]
            )
        )
        acknowledge(
            bucket, {"S1": "It holds logs itself, of Redshift; a log of their reading is not needed."}
        )
        return bucket

    def _subnet_ids(self) -> list[str]:
        return self._network.vpc.select_subnets(subnets=self._network.private.subnets).subnet_ids


def _reach(host: str, port: int, database: str, user: str, secret_arn: str) -> Reach:
    connection = Connection(host, port, database, user, secret=secret_arn, sslmode="verify-full")
    return Reach(connection, secret_arn)
