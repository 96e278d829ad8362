"""What the environments cost follows from their templates, and the documentation has these figures."""

import re
from pathlib import Path
from typing import Any

from ops.costs.bill import bill
from ops.costs.prices import load_prices
from ops.costs.standing import PRICED
from tests.unit.infra.conftest import Templates
from tests.unit.infra.cost_tables import choices, comparison, environments_table, price_table

DOCS = Path(__file__).parents[3] / "docs"
ARCHIVES = 1
# What AWS asks nothing for, or what is paid by use and therefore is part of the traffic.
FREE = {
    f"AWS::{name}"
    for name in (
        "CloudFormation::CustomResource",
        "EC2::EgressOnlyInternetGateway",
        "EC2::FlowLog",
        "EC2::InternetGateway",
        "EC2::LaunchTemplate",
        "EC2::Route",
        "EC2::RouteTable",
        "EC2::SecurityGroup",
        "EC2::SecurityGroupIngress",
        "EC2::Subnet",
        "EC2::SubnetRouteTableAssociation",
        "EC2::VPC",
        "EC2::VPCCidrBlock",
        "EC2::VPCGatewayAttachment",
        "Events::Rule",
        "IAM::InstanceProfile",
        "IAM::Policy",
        "IAM::Role",
        "Lambda::EventInvokeConfig",
        "Lambda::Function",
        "Lambda::Permission",
        "Logs::LogGroup",
        "Logs::MetricFilter",
        "Logs::QueryDefinition",
        "RDS::DBInstance",
        "RDS::DBParameterGroup",
        "RDS::DBProxy",
        "RDS::DBSubnetGroup",
        "Redshift::ClusterParameterGroup",
        "Redshift::ClusterSubnetGroup",
        "RedshiftServerless::Namespace",
        "RedshiftServerless::Workgroup",
        "S3::Bucket",
        "S3::BucketPolicy",
        "SNS::Subscription",
        "SNS::Topic",
        "SNS::TopicPolicy",
        "SQS::Queue",
        "SQS::QueuePolicy",
    )
}


def test_everything_that_is_made_has_a_price_or_is_known_to_have_none(templates: Templates) -> None:
    kinds = {resource["Type"] for _, _, resource in templates if not resource["Type"].startswith("Custom::")}
    assert kinds - PRICED.keys() - FREE == set()


def test_every_environment_has_a_bill(templates: Templates, settings: Any) -> None:
    found = bill(templates.stacks, ARCHIVES, 100, settings.region, load_prices())
    assert all(found.usd[group] > 0 for group in ("databases", "warehouse", "pipeline"))
    assert found.usd_per_million_events > 0
    assert any("us-east-1" in note for note in found.notes)


def test_the_documented_costs_are_those_of_the_model(environments: dict[str, Templates]) -> None:
    prices = load_prices()
    stacks = {name: each.stacks for name, each in environments.items()}
    expected = {
        ("how-to/deploy.md", "choices"): choices(prices),
        ("reference/costs.md", "environments"): environments_table(stacks, ARCHIVES, prices),
        ("reference/costs.md", "comparison"): comparison(stacks["prod"], ARCHIVES, prices),
        ("reference/costs.md", "prices"): price_table(prices),
    }
    for (page, name), table in expected.items():
        text = (DOCS / page).read_text(encoding="utf-8")
        found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- end of {name} -->", text, re.DOTALL)
        assert found is not None, f"{page} has no place for {name}"
        assert found[1] == table, f"docs/{page}: put this between the marks of {name}:\n{table}"
