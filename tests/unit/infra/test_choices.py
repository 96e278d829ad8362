"""Other choices than the environments' own: other sources, what is there already, the open form, NAT."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from infra.environments import DEV, STAGE
from infra.settings import (
    Access,
    Capture,
    Environment,
    ExistingDatabase,
    ExistingNetwork,
    ExistingWarehouse,
    NewNetwork,
)
from ops.plan.grants import roles
from tests.unit.infra.conftest import Templates, synthesized

PIPELINE = """
[sources.orders_eu]
[[sources.orders_eu.tables]]
table = "public.order"
[sources.orders_us]
doorbell = "schedule"
[[sources.orders_us.tables]]
table = "public.order"
[sources.billing]
shards = 3
[[sources.billing.tables]]
table = "public.invoice"
[sinks.lake]
type = "s3"
prefix = "lake/raw"
[sinks.warehouse]
type = "redshift"
[[routes]]
table = "orders_eu.public.order"
target = "order_eu"
sinks = ["lake", "warehouse"]
[[routes]]
table = "orders_us.public.order"
target = "order_us"
sinks = ["lake", "warehouse"]
[[routes]]
table = "billing.public.invoice"
sinks = ["warehouse"]
"""


def there(name: str) -> ExistingDatabase:
    return ExistingDatabase(
        host=f"{name}.db.example",
        port=5432,
        database=name,
        user="owner",
        secret_arn=f"arn:aws:secretsmanager:eu-west-1:111122223333:secret:{name}-AbCdEf",
        proxy_host=f"{name}.proxy.example",
        proxy_resource_id=f"prx-{name}",
    )


EXISTING = Environment(
    name="existing",
    region="eu-west-1",
    zones=("eu-west-1a", "eu-west-1b"),
    account="111122223333",
    production=True,
    access=Access(),
    network=ExistingNetwork(
        vpc_id="vpc-1",
        cidr="10.0.0.0/16",
        private_subnet_ids=("subnet-1", "subnet-2"),
        private_route_table_ids=("rtb-1", "rtb-2"),
    ),
    databases=STAGE.databases,
    existing_databases={name: there(name) for name in ("accounts", "certificates", "replica")},
    warehouse=ExistingWarehouse(
        host="redshift.example",
        port=5439,
        database="warehouse",
        user="loader",
        secret_arn="arn:aws:secretsmanager:eu-west-1:111122223333:secret:redshift-AbCdEf",
        copy_role_arn="arn:aws:iam::111122223333:role/copy",
    ),
    capture=Capture(install=False),
)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Templates]:
    """Three environments with choices that no environment of the project has made."""
    opened = replace(
        DEV,
        name="opened",
        access=Access(any_address=True),
        network=NewNetwork(cidr="10.9.0.0/16", reach="nat", bastion="none", dual_stack=True),
    )
    return synthesized(tmp_path_factory.mktemp("others"), EXISTING, opened)


@pytest.fixture(scope="module")
def three_sources(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    folder: Path = tmp_path_factory.mktemp("three")
    (folder / "pipeline.toml").write_text(PIPELINE)
    return synthesized(folder / "out", DEV, pipeline=folder / "pipeline.toml")["dev"]


def test_three_sources_and_no_postgresql_sink_make_three_of_everything(three_sources: Templates) -> None:
    names = {f"pgevents-dev-{name}" for name in ("orders-eu", "orders-us", "billing")}
    assert {proxy["DBProxyName"] for proxy in three_sources.properties("AWS::RDS::DBProxy")} == names
    instances = three_sources.properties("AWS::RDS::DBInstance")
    assert {instance["DBInstanceIdentifier"] for instance in instances} == names
    assert len(three_sources.properties("AWS::Events::Rule")) == 3
    assert len(three_sources.properties("Custom::PgEventsTriggers")) == 3
    [bucket] = three_sources.properties("AWS::S3::Bucket", "pipeline")
    prefixes = [rule["Prefix"] for rule in bucket["LifecycleConfiguration"]["Rules"]]
    assert prefixes == ["forwarded/", "staged/", "lake/raw/"]


def test_the_transform_of_a_source_in_shards_may_call_itself(three_sources: Templates) -> None:
    [transform] = [role for role in roles(three_sources.stacks) if role.name == "pipeline/TransformRole"]
    [called] = [grant.resources for grant in transform.grants if grant.may == "lambda:InvokeFunction"]
    assert [name.rsplit(":", 1)[1] for name in called] == [
        "pgevents-dev-redshift-writer",
        "pgevents-dev-transform",
    ]


def test_what_is_there_is_not_made_again(others: dict[str, Templates]) -> None:
    made = {resource["Type"] for _, _, resource in others["existing"]}
    for kind in ("RDS::DBInstance", "RDS::DBProxy", "EC2::VPC", "EC2::Subnet", "Redshift::Cluster"):
        assert f"AWS::{kind}" not in made
    assert "AWS::RedshiftServerless::Workgroup" not in made
    assert "AWS::Lambda::Function" in made


def test_what_is_there_is_used_by_its_names(others: dict[str, Templates]) -> None:
    text = json.dumps(others["existing"].stacks["pipeline"])
    for word in ("accounts.proxy.example", "redshift.example", "prx-certificates/owner", "subnet-1"):
        assert word in text, word
    assert "accounts.db.example" not in text  # reached by the installer only, which was not asked for


def test_without_capture_there_is_no_custom_resource(others: dict[str, Templates]) -> None:
    assert not others["existing"].resources("Custom::PgEventsTriggers")


def test_the_open_form_admits_any_address_of_both_protocols(others: dict[str, Templates]) -> None:
    for id, group in others["opened"].resources("AWS::EC2::SecurityGroup").items():
        ranges = {
            rule.get("CidrIp", rule.get("CidrIpv6"))
            for rule in group["Properties"].get("SecurityGroupIngress", [])
        }
        expected = {"0.0.0.0/0", "::/0"} if "/Databases" in id or "/Proxies" in id else set()
        assert ranges == expected, id


def test_nat_takes_the_place_of_the_endpoints(others: dict[str, Templates]) -> None:
    assert len(others["opened"].resources("AWS::EC2::NatGateway")) == 1
    endpoints = others["opened"].properties("AWS::EC2::VPCEndpoint")
    assert [endpoint["VpcEndpointType"] for endpoint in endpoints] == ["Gateway"]
    assert not others["opened"].resources("AWS::EC2::Instance")
