"""The databases: an instance and a proxy each, and a doorbell that may ring one function."""

import json
from dataclasses import replace
from pathlib import Path

from aws_cdk.assertions import Match, Template

from infra.environments import STAGE
from infra.settings import Environment
from pgevents.config import load
from tests.unit.infra.conftest import Templates, command_line, synthesized

PIPELINE = load(command_line.PROJECT / "pipeline.toml")


def test_every_source_and_every_postgresql_sink_has_an_instance_and_a_proxy(templates: Templates) -> None:
    expected = {f"pgevents-{templates.name}-{name}" for name in ("accounts", "certificates", "replica")}
    instances = templates.properties("AWS::RDS::DBInstance")
    assert {instance["DBInstanceIdentifier"] for instance in instances} == expected
    assert {proxy["DBProxyName"] for proxy in templates.properties("AWS::RDS::DBProxy")} == expected
    targets = templates.properties("AWS::RDS::DBProxyTargetGroup")
    assert len({json.dumps(target["DBInstanceIdentifiers"]) for target in targets}) == len(expected)


def test_instances_are_encrypted_private_and_open_to_iam_with_a_password_that_rds_keeps(
    templates: Templates, settings: Environment
) -> None:
    chosen = settings.databases
    Template.from_json(templates.stacks["databases"]).all_resources_properties(
        "AWS::RDS::DBInstance",
        {
            "Engine": "postgres",
            "EngineVersion": Match.string_like_regexp("^18"),
            "StorageEncrypted": True,
            "PubliclyAccessible": False,
            "EnableIAMDatabaseAuthentication": True,
            "ManageMasterUserPassword": True,
            "MasterUserPassword": Match.absent(),
            "MultiAZ": chosen.multi_az,
            "BackupRetentionPeriod": chosen.backup_days,
            "DeletionProtection": chosen.keep != "destroy",
        },
    )


def test_tls_is_forced_and_the_doorbell_finds_its_endpoint(templates: Templates) -> None:
    for group in templates.properties("AWS::RDS::DBParameterGroup"):
        assert group["Parameters"] == {"rds.force_ssl": "1", "rds.custom_dns_resolution": "1"}


def test_what_becomes_of_an_instance_is_the_environments_choice(
    templates: Templates, settings: Environment
) -> None:
    policies = {
        "retain": ("RetainExceptOnCreate", "Retain"),
        "snapshot": ("Snapshot", "Snapshot"),
        "destroy": ("Delete", "Delete"),
    }[settings.databases.keep]
    for resource in templates.resources("AWS::RDS::DBInstance").values():
        assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == policies


def test_the_logs_of_instances_and_proxies_are_made_before_them_and_expire(
    templates: Templates, settings: Environment
) -> None:
    groups = {
        group["Properties"]["LogGroupName"]: (id.split("/")[1], group)
        for id, group in templates.resources("AWS::Logs::LogGroup", "databases").items()
    }
    written = {
        f"/aws/rds/instance/{instance['Properties']['DBInstanceIdentifier']}/postgresql": instance
        for instance in templates.resources("AWS::RDS::DBInstance").values()
    } | {
        f"/aws/rds/proxy/{proxy['Properties']['DBProxyName']}": proxy
        for proxy in templates.resources("AWS::RDS::DBProxy").values()
    }
    assert set(groups) == set(written)
    for name, (id, group) in groups.items():
        assert group["Properties"]["RetentionInDays"] == settings.databases.log_days
        assert id in written[name]["DependsOn"]
        lives_on = settings.databases.keep == "retain" and "/instance/" in name
        assert group["DeletionPolicy"] == ("RetainExceptOnCreate" if lives_on else "Delete")


def test_another_version_upgrades_the_instance_with_its_parameters(tmp_path: Path) -> None:
    databases = replace(STAGE.databases, version="19.1")
    made = synthesized(tmp_path, replace(STAGE, databases=databases))["stage"]
    for instance in made.properties("AWS::RDS::DBInstance"):
        assert instance["EngineVersion"] == "19.1"
        assert instance["AllowMajorVersionUpgrade"] is True
    assert {group["Family"] for group in made.properties("AWS::RDS::DBParameterGroup")} == {"postgres19"}
    for triggers in made.properties("Custom::PgEventsTriggers"):
        assert triggers["PostgresVersion"] == "19"


def test_a_proxy_asks_for_tls_and_iam_and_drops_clients_that_say_nothing(templates: Templates) -> None:
    for proxy in templates.properties("AWS::RDS::DBProxy"):
        assert proxy["RequireTLS"] is True
        assert [auth["IAMAuth"] for auth in proxy["Auth"]] == ["REQUIRED"]
        assert proxy["IdleClientTimeout"] <= 120


def test_each_source_may_ring_the_transform_and_nothing_else(templates: Templates) -> None:
    roles = templates.resources("AWS::IAM::Role", "databases")
    instances = templates.properties("AWS::RDS::DBInstance")
    ringing = {instance["DBName"] for instance in instances if "AssociatedRoles" in instance}
    assert ringing == set(PIPELINE.sources)
    for instance in instances:
        for associated in instance.get("AssociatedRoles", []):
            assert associated["FeatureName"] == "Lambda"
            role = roles[f"databases/{associated['RoleArn']['Fn::GetAtt'][0]}"]["Properties"]
            [trust] = role["AssumeRolePolicyDocument"]["Statement"]
            assert trust["Principal"] == {"Service": "rds.amazonaws.com"}
            assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
            [policy] = role["Policies"]
            [statement] = policy["PolicyDocument"]["Statement"]
            assert statement["Action"] == "lambda:InvokeFunction"
            resource = json.dumps(statement["Resource"])
            assert f":function:pgevents-{templates.name}-transform" in resource
            assert "*" not in resource
