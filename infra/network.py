"""The network: a VPC without a way out, who may enter, and the endpoints that the Lambdas need instead."""

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.acknowledgements import acknowledge
from infra.bastion import Bastion
from infra.outputs import output
from infra.settings import Environment, ExistingNetwork, NewNetwork, is_ipv6

POSTGRES = ec2.Port.tcp(5432)
REDSHIFT = ec2.Port.tcp(5439)
SSH = ec2.Port.tcp(22)
HTTPS = ec2.Port.tcp(443)

_OPEN = "This environment says any_address: a sandbox whose databases hold nothing but samples."
_FLOW_DAYS = logs.RetentionDays.ONE_MONTH


@dataclass(frozen=True)
class SecurityGroups:
    """Who is who in the network."""

    databases: ec2.ISecurityGroup
    proxies: ec2.ISecurityGroup
    warehouse: ec2.ISecurityGroup
    functions: ec2.ISecurityGroup

    def seen_from(self, scope: Construct) -> "SecurityGroups":
        """The same groups for another stack, which cannot add rules to them: that would tie the stacks in a
        circle."""
        return SecurityGroups(
            **{
                name: ec2.SecurityGroup.from_security_group_id(
                    scope, f"{name.capitalize()}Group", group.security_group_id, mutable=False
                )
                for name, group in vars(self).items()
            }
        )


class Network(cdk.Stack):
    """The VPC and every rule of who may talk to whom."""

    def __init__(self, scope: Construct, id: str, environment: Environment) -> None:
        super().__init__(scope, id, description="pgevents: network")
        self._access = environment.access
        self.vpc = self._vpc(environment)
        self.groups = self._security_groups()
        self._connect(self.groups)
        if isinstance(environment.network, NewNetwork):
            callers = [self.groups.functions, self.groups.databases]
            if environment.network.bastion != "none":
                bastion = Bastion(self, "Bastion", self.vpc, environment.network, self._private_subnets)
                self._admit(bastion.group, self._access.ssh if bastion.is_public else (), SSH)
                self._admit_bastion(bastion.group)
                callers.append(bastion.group)
                output(self, "BastionInstance", bastion.instance.instance_id)
                if bastion.is_public:
                    output(self, "BastionAddress", bastion.instance.instance_public_ip)
            self._reach_services(environment.network, callers)

    @property
    def private(self) -> ec2.SubnetSelection:
        """Where databases, the warehouse and the Lambdas are."""
        return ec2.SubnetSelection(subnets=self._private_subnets)

    def _vpc(self, environment: Environment) -> ec2.IVpc:
        network = environment.network
        if isinstance(network, ExistingNetwork):
            vpc = ec2.Vpc.from_vpc_attributes(
                self,
                "Vpc",
                vpc_id=network.vpc_id,
                vpc_cidr_block=network.cidr,
                availability_zones=list(environment.zones),
                isolated_subnet_ids=list(network.private_subnet_ids),
                isolated_subnet_route_table_ids=list(network.private_route_table_ids) or None,
            )
            self._private_subnets = vpc.isolated_subnets
            return vpc
        return self._new_vpc(network, list(environment.zones))

    def _new_vpc(self, network: NewNetwork, zones: list[str]) -> ec2.Vpc:
        nat = network.reach == "nat"
        kind = ec2.SubnetType.PRIVATE_WITH_EGRESS if nat else ec2.SubnetType.PRIVATE_ISOLATED
        subnets = [ec2.SubnetConfiguration(name="private", subnet_type=kind, cidr_mask=20)]
        if nat or network.bastion == "ssh":
            public = ec2.SubnetType.PUBLIC
            subnets.append(
                ec2.SubnetConfiguration(
                    name="public", subnet_type=public, cidr_mask=24, map_public_ip_on_launch=False
                )
            )
        vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(network.cidr),
            ip_protocol=ec2.IpProtocol.DUAL_STACK if network.dual_stack else ec2.IpProtocol.IPV4_ONLY,
            availability_zones=zones,
            nat_gateways=1 if nat else 0,
            subnet_configuration=subnets,
            restrict_default_security_group=False,
        )
        vpc.add_flow_log("FlowLog", destination=self._flow_logs())
        self._private_subnets = vpc.private_subnets if nat else vpc.isolated_subnets
        return vpc

    def _flow_logs(self) -> ec2.FlowLogDestination:
        group = logs.LogGroup(
            self, "FlowLogs", retention=_FLOW_DAYS, removal_policy=cdk.RemovalPolicy.DESTROY
        )
        return ec2.FlowLogDestination.to_cloud_watch_logs(group)

    def _security_groups(self) -> SecurityGroups:
        return SecurityGroups(
            databases=self._group("Databases", "RDS instances"),
            proxies=self._group("Proxies", "RDS proxies"),
            warehouse=self._group("Warehouse", "Redshift"),
            functions=self._group("Functions", "Lambda functions"),
        )

    def _group(self, id: str, who: str) -> ec2.SecurityGroup:
        """Out by IPv4 to anywhere: what a subnet without a way out makes of it is the endpoints alone."""
        return ec2.SecurityGroup(
            self, f"{id}Group", vpc=self.vpc, description=f"pgevents: {who}", allow_all_outbound=True
        )

    def _connect(self, groups: SecurityGroups) -> None:
        allow = "pgevents: from "
        groups.databases.add_ingress_rule(groups.proxies, POSTGRES, f"{allow}the proxies")
        groups.databases.add_ingress_rule(groups.functions, POSTGRES, f"{allow}the trigger installer")
        groups.proxies.add_ingress_rule(groups.functions, POSTGRES, f"{allow}the functions")
        groups.warehouse.add_ingress_rule(groups.functions, REDSHIFT, f"{allow}the functions")
        for group in (groups.databases, groups.proxies):
            self._admit(group, self._access.postgres, POSTGRES)

    def _admit(self, group: ec2.ISecurityGroup, ranges: tuple[str, ...], port: ec2.Port) -> None:
        for text in ranges:
            peer = ec2.Peer.ipv6(text) if is_ipv6(text) else ec2.Peer.ipv4(text)
            group.add_ingress_rule(peer, port, f"pgevents: declared range {text}")
        if ranges and self._access.is_open:
            acknowledge(group, {"EC23": _OPEN})

    def _reach_services(self, network: NewNetwork, callers: list[ec2.ISecurityGroup]) -> None:
        """S3 is free; every other endpoint costs by the hour and zone, so there are no more than needed."""
        self.vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
        services = _services(network)
        if not services:
            return
        group = self._group("Endpoints", "AWS services")
        for who in callers:
            group.add_ingress_rule(who, HTTPS, "pgevents: from whoever calls AWS")
        for name, service in services.items():
            self.vpc.add_interface_endpoint(
                name, service=service, security_groups=[group], subnets=self.private, open=False
            )

    def _admit_bastion(self, group: ec2.ISecurityGroup) -> None:
        for to in (self.groups.databases, self.groups.proxies):
            to.add_ingress_rule(group, POSTGRES, "pgevents: from the bastion")
        self.groups.warehouse.add_ingress_rule(group, REDSHIFT, "pgevents: from the bastion")


def _services(network: NewNetwork) -> dict[str, ec2.InterfaceVpcEndpointAwsService]:
    """What functions, doorbells and a session bastion have to reach where there is no way out."""
    if network.reach == "nat":
        return {}
    services = {
        "Lambda": ec2.InterfaceVpcEndpointAwsService.LAMBDA_,
        "SecretsManager": ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
    }
    if network.bastion == "session":
        services["Ssm"] = ec2.InterfaceVpcEndpointAwsService.SSM
        services["SsmMessages"] = ec2.InterfaceVpcEndpointAwsService.SSM_MESSAGES
    return services
