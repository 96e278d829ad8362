"""The network: who may come in, by IPv4 and IPv6, and what the functions reach without a way out."""

from infra.settings import Environment, NewNetwork
from tests.unit.infra.conftest import Templates


def rules(templates: Templates, group: str) -> list[dict[str, object]]:
    """A group's own rules; those from other groups are resources of their own."""
    [found] = [
        resource["Properties"]
        for id, resource in templates.resources("AWS::EC2::SecurityGroup", "network").items()
        if id.split("/")[1].startswith(group)
    ]
    return list(found.get("SecurityGroupIngress", []))


def test_postgresql_is_open_to_the_declared_ranges_of_both_protocols_and_to_nobody_else(
    templates: Templates, settings: Environment
) -> None:
    for group in ("DatabasesGroup", "ProxiesGroup"):
        admitted = rules(templates, group)
        assert {(rule["FromPort"], rule["ToPort"], rule["IpProtocol"]) for rule in admitted} == {
            (5432, 5432, "tcp")
        }
        assert {rule["CidrIp"] for rule in admitted if "CidrIp" in rule} == set(settings.access.postgres_ipv4)
        assert {rule["CidrIpv6"] for rule in admitted if "CidrIpv6" in rule} == set(
            settings.access.postgres_ipv6
        )
        assert settings.access.postgres_ipv4
        assert settings.access.postgres_ipv6


def test_ssh_is_open_on_a_public_bastion_to_the_declared_ranges_only(
    templates: Templates, settings: Environment
) -> None:
    assert isinstance(settings.network, NewNetwork)
    admitted = rules(templates, "BastionGroup")
    ranges = {str(rule.get("CidrIp", rule.get("CidrIpv6"))) for rule in admitted}
    if settings.network.bastion == "ssh":
        assert ranges == set(settings.access.ssh)
        assert {(rule["FromPort"], rule["ToPort"]) for rule in admitted} == {(22, 22)}
    else:
        assert admitted == []
        assert not templates.resources("AWS::EC2::InternetGateway")


def test_the_bastion_reaches_databases_proxies_and_the_warehouse(templates: Templates) -> None:
    reached = {
        (rule["FromPort"], str(rule["GroupId"]["Fn::GetAtt"][0])[:9])
        for rule in templates.properties("AWS::EC2::SecurityGroupIngress", "network")
        if "Bastion" in str(rule.get("SourceSecurityGroupId"))
    }
    assert {(5432, "Databases"), (5432, "ProxiesGr"), (5439, "Warehouse")} <= reached


def test_every_group_lets_ipv4_out_and_nothing_of_the_world_in(templates: Templates) -> None:
    for group in templates.properties("AWS::EC2::SecurityGroup"):
        [out] = group["SecurityGroupEgress"]
        assert (out["CidrIp"], out["IpProtocol"]) == ("0.0.0.0/0", "-1")
        for rule in group.get("SecurityGroupIngress", []):
            assert rule.get("CidrIp") != "0.0.0.0/0"
            assert rule.get("CidrIpv6") != "::/0"


def test_what_functions_need_of_aws_has_an_endpoint_and_there_is_no_nat(templates: Templates) -> None:
    endpoints = templates.properties("AWS::EC2::VPCEndpoint")
    names = {
        str(endpoint["ServiceName"]).replace("'", "").rsplit(".", 1)[-1].strip("]}") for endpoint in endpoints
    }
    assert {"lambda", "secretsmanager", "s3"} <= names
    assert {endpoint["VpcEndpointType"] for endpoint in endpoints} == {"Gateway", "Interface"}
    assert not templates.resources("AWS::EC2::NatGateway")


def test_the_vpc_speaks_ipv6_where_that_was_chosen(templates: Templates, settings: Environment) -> None:
    assert bool(templates.resources("AWS::EC2::VPCCidrBlock")) == settings.network.dual_stack
    kinds = {instance["NetworkType"] for instance in templates.properties("AWS::RDS::DBInstance")}
    assert kinds == {"DUAL" if settings.network.dual_stack else "IPV4"}


def test_there_are_private_subnets_in_every_zone(templates: Templates, settings: Environment) -> None:
    subnets = templates.properties("AWS::EC2::Subnet")
    private = [subnet["AvailabilityZone"] for subnet in subnets if "Isolated" in str(subnet["Tags"])]
    assert sorted(private) == sorted(settings.zones)
