"""What there is costs, whether anything passes through it or not: read off the templates that are deployed.

What an environment imports is in no template, so it costs nothing here: somebody pays for it already.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ops.costs.prices import Line, PriceList, hourly, line
from transform.metrics import Figures

Template = Mapping[str, Any]
Properties = Mapping[str, Any]


def standing(templates: Mapping[str, Template], prices: PriceList) -> list[Line]:
    """Every line of what a set of templates (by the names of their stacks) makes. Raises InputError for
    something that has no price."""
    lines: list[Line] = []
    for template in templates.values():
        for resource in template.get("Resources", {}).values():
            price = PRICED.get(resource["Type"])
            if price is not None:
                lines += price(resource.get("Properties", {}), template, prices)
    return [*_summed(lines), *_custom_metrics(templates, prices)]


def _summed(lines: list[Line]) -> Iterator[Line]:
    """Equal things as one line."""
    together: dict[tuple[str, str, str], list[Line]] = {}
    for each in lines:
        together.setdefault((each.group, each.item, each.price), []).append(each)
    for (group, item, price), alike in together.items():
        count = f" × {len(alike)}" if len(alike) > 1 else ""
        quantity, usd = sum(each.quantity for each in alike), sum(each.usd for each in alike)
        yield Line(group, f"{item}{count}", quantity, price, usd)


def _instance(database: Properties, template: Template, prices: PriceList) -> Iterator[Line]:
    copies, kind = (2, ", two zones") if database.get("MultiAZ") else (1, "")
    name = database["DBInstanceClass"]
    yield hourly(prices, "databases", f"RDS {name}{kind}", copies, f"rds.{name}")
    size = float(database["AllocatedStorage"])
    yield line(prices, "databases", f"RDS storage, {size:g} GB{kind}", copies * size, "rds_gp3_storage")
    if database.get("ManageMasterUserPassword"):
        yield line(prices, "databases", "its secret", 1, "secret")


def _proxy_target(target: Properties, template: Template, prices: PriceList) -> Iterator[Line]:
    for reference in target.get("DBInstanceIdentifiers", []):
        instance = template["Resources"][reference["Ref"]]["Properties"]
        processors = virtual_processors(instance["DBInstanceClass"])
        yield hourly(
            prices, "pipeline", f"RDS Proxy of {instance['DBInstanceClass']}", processors, "rds_proxy"
        )


def virtual_processors(instance_class: str) -> int:
    """Of an RDS instance class; a proxy is paid by them, and for two at least."""
    size = instance_class.rsplit(".", 1)[-1]
    if not size.endswith("xlarge"):
        return 2
    return 4 * int(size.removesuffix("xlarge") or 1)


def _cluster(cluster: Properties, template: Template, prices: PriceList) -> Iterator[Line]:
    nodes, kind = cluster.get("NumberOfNodes", 1), cluster["NodeType"]
    yield hourly(prices, "warehouse", f"Redshift {kind}, {nodes} nodes", nodes, f"redshift.{kind}")
    if cluster.get("ManageMasterPassword"):
        yield line(prices, "warehouse", "its secret", 1, "secret")


def _endpoint(endpoint: Properties, template: Template, prices: PriceList) -> Iterator[Line]:
    if endpoint.get("VpcEndpointType") == "Interface":
        zones = len(endpoint["SubnetIds"])
        yield hourly(prices, "pipeline", f"interface endpoint in {zones} zones", zones, "interface_endpoint")


def _bastion(instance: Properties, template: Template, prices: PriceList) -> Iterator[Line]:
    kind = instance["InstanceType"]
    yield hourly(prices, "pipeline", f"bastion {kind}", 1, f"ec2.{kind}")
    size = sum(disk["Ebs"]["VolumeSize"] for disk in instance.get("BlockDeviceMappings", []))
    yield line(prices, "pipeline", "its disk", size, "ebs_storage")
    if any(each.get("AssociatePublicIpAddress") for each in instance.get("NetworkInterfaces", [])):
        yield hourly(prices, "pipeline", "its public address", 1, "public_ipv4")


def _gateway(gateway: Properties, template: Template, prices: PriceList) -> Iterator[Line]:
    yield hourly(prices, "pipeline", "NAT gateway", 1, "nat_gateway")
    yield hourly(prices, "pipeline", "its public address", 1, "public_ipv4")


def _alarm(alarm: Properties, template: Template, prices: PriceList) -> Iterator[Line]:
    metrics = sum("MetricStat" in metric for metric in alarm.get("Metrics", [])) or 1
    yield line(prices, "pipeline", "alarm", metrics, "alarm")


def _dashboard(dashboard: Properties, template: Template, prices: PriceList) -> Iterator[Line]:
    yield line(prices, "pipeline", "dashboard", 1, "dashboard")


def _secret(secret: Properties, template: Template, prices: PriceList) -> Iterator[Line]:
    yield line(prices, "warehouse", "secret", 1, "secret")


def _custom_metrics(templates: Mapping[str, Template], prices: PriceList) -> Iterator[Line]:
    """What the sweep writes into its log for each source, and what is filtered from logs."""
    kinds = [
        resource["Type"]
        for template in templates.values()
        for resource in template.get("Resources", {}).values()
    ]
    count = kinds.count("AWS::Events::Rule") * len(Figures.__struct_fields__)
    if count:
        count += kinds.count("AWS::Logs::MetricFilter")
        yield line(prices, "pipeline", f"custom metrics × {count}", count, "custom_metric")


PRICED = {
    "AWS::RDS::DBInstance": _instance,
    "AWS::RDS::DBProxyTargetGroup": _proxy_target,
    "AWS::Redshift::Cluster": _cluster,
    "AWS::EC2::VPCEndpoint": _endpoint,
    "AWS::EC2::Instance": _bastion,
    "AWS::EC2::NatGateway": _gateway,
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::CloudWatch::Dashboard": _dashboard,
    "AWS::SecretsManager::Secret": _secret,
}
