"""The warehouse: what the environment chose, private, encrypted, TLS only."""

import json

from infra.settings import Environment, ProvisionedWarehouse, ServerlessWarehouse
from tests.unit.infra.conftest import Templates


def test_the_warehouse_is_of_the_kind_that_was_chosen(templates: Templates, settings: Environment) -> None:
    serverless = isinstance(settings.warehouse, ServerlessWarehouse)
    assert len(templates.resources("AWS::RedshiftServerless::Workgroup")) == serverless
    assert len(templates.resources("AWS::RedshiftServerless::Namespace")) == serverless
    assert len(templates.resources("AWS::Redshift::Cluster")) == (not serverless)


def test_a_serverless_one_is_private_and_takes_its_password_from_a_secret(
    templates: Templates, settings: Environment
) -> None:
    if not isinstance(settings.warehouse, ServerlessWarehouse):
        return
    [workgroup] = templates.properties("AWS::RedshiftServerless::Workgroup")
    assert workgroup["PubliclyAccessible"] is False
    assert workgroup["EnhancedVpcRouting"] is True
    assert len(workgroup["SubnetIds"]) >= 3
    assert {"ParameterKey": "require_ssl", "ParameterValue": "true"} in workgroup["ConfigParameters"]
    assert (workgroup["BaseCapacity"], workgroup["MaxCapacity"]) == (
        settings.warehouse.base_capacity,
        settings.warehouse.max_capacity,
    )
    [namespace] = templates.properties("AWS::RedshiftServerless::Namespace")
    assert "{{resolve:secretsmanager:" in json.dumps(namespace["AdminUserPassword"])


def test_the_final_snapshot_has_a_name_of_its_stacks_own(templates: Templates, settings: Environment) -> None:
    if not isinstance(settings.warehouse, ServerlessWarehouse):
        return
    [namespace] = templates.properties("AWS::RedshiftServerless::Namespace")
    if settings.warehouse.keep == "destroy":
        assert "FinalSnapshotName" not in namespace
        return
    name = json.dumps(namespace["FinalSnapshotName"])
    assert f"pgevents-{templates.name}-final-" in name
    assert '"AWS::StackId"' in name


def test_redshift_takes_its_role_on_for_this_account_alone(templates: Templates) -> None:
    [role] = [
        resource["Properties"]
        for id, resource in templates.resources("AWS::IAM::Role", "warehouse").items()
        if "CopyRole" in id
    ]
    for trust in role["AssumeRolePolicyDocument"]["Statement"]:
        assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_a_provisioned_one_is_private_encrypted_and_keeps_its_password_itself(
    templates: Templates, settings: Environment
) -> None:
    if not isinstance(settings.warehouse, ProvisionedWarehouse):
        return
    [cluster] = templates.properties("AWS::Redshift::Cluster")
    assert cluster["Encrypted"] is True
    assert cluster["PubliclyAccessible"] is False
    assert cluster["EnhancedVpcRouting"] is True
    assert cluster["ManageMasterPassword"] is True
    assert "MasterUserPassword" not in cluster
    assert cluster["NumberOfNodes"] == settings.warehouse.nodes


def test_copy_reads_what_the_writer_staged_and_nothing_else(templates: Templates) -> None:
    [policy] = [
        resource["Properties"]
        for id, resource in templates.resources("AWS::IAM::Policy", "pipeline").items()
        if "CopyReads" in id
    ]
    actions = {statement["Action"] for statement in policy["PolicyDocument"]["Statement"]}
    assert actions == {"s3:GetObject", "s3:ListBucket"}
    assert "/staged/*" in json.dumps(policy["PolicyDocument"])
    assert "/forwarded/*" not in json.dumps(policy["PolicyDocument"])
