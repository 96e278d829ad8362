"""What must hold of every template: permissions, secrets, and names that a database hangs on."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from infra.functions import NETWORK_ACTIONS
from tests.unit.infra.conftest import Templates

# A new logical id is a new resource: the old one, and everything in it, would be deleted.
STATEFUL = {
    "databases/AccountsInstance230AD3B6": "AWS::RDS::DBInstance",
    "databases/CertificatesInstance3905346D": "AWS::RDS::DBInstance",
    "databases/ReplicaInstance639BE1BF": "AWS::RDS::DBInstance",
    "pipeline/Bucket83908E77": "AWS::S3::Bucket",
    "pipeline/DeadLettersBBF8BAAB": "AWS::SQS::Queue",
    "network/Vpc8378EB38": "AWS::EC2::VPC",
}
WAREHOUSES = {
    "dev": {
        "warehouse/Namespace": "AWS::RedshiftServerless::Namespace",
        "warehouse/Workgroup": "AWS::RedshiftServerless::Workgroup",
        "warehouse/SecretA720EF05": "AWS::SecretsManager::Secret",
    },
    "prod": {
        "warehouse/Cluster": "AWS::Redshift::Cluster",
        "warehouse/Audit3D8ADE0A": "AWS::S3::Bucket",
    },
}
WAREHOUSES["stage"] = WAREHOUSES["dev"]
KINDS = {*STATEFUL.values(), *WAREHOUSES["dev"].values(), *WAREHOUSES["prod"].values()}


def test_the_logical_ids_of_what_holds_state_never_change(templates: Templates) -> None:
    found = {
        f"{stack}/{id}": resource["Type"] for stack, id, resource in templates if resource["Type"] in KINDS
    }
    assert found == STATEFUL | WAREHOUSES[templates.name]


def test_what_a_failed_first_deployment_made_never_stops_the_next_one(templates: Templates) -> None:
    """Kept on every rollback, it would be there under the name that the next one wants to give it."""
    for stack, id, resource in templates:
        assert resource.get("DeletionPolicy") != "Retain", f"{stack}/{id}"


def test_what_holds_state_is_kept_or_goes_into_a_snapshot_unless_the_environment_is_one_to_throw_away(
    templates: Templates,
) -> None:
    kinds = KINDS - {"AWS::EC2::VPC", "AWS::RedshiftServerless::Workgroup", "AWS::SecretsManager::Secret"}
    found = {
        f"{stack}/{id}": resource.get("DeletionPolicy")
        for stack, id, resource in templates
        if resource["Type"] in kinds and resource["Type"] != "AWS::RedshiftServerless::Namespace"
    }
    lasting = {
        "dev": {"Delete"},
        "stage": {"RetainExceptOnCreate", "Snapshot"},
        "prod": {"RetainExceptOnCreate"},
    }
    assert set(found.values()) == lasting[templates.name], found


def statements(templates: Templates) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement that gives a role something, with where it stands."""
    for stack, id, resource in templates:
        properties = resource.get("Properties", {})
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        if resource["Type"] in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
            documents.append(properties["PolicyDocument"])
        for document in documents:
            for statement in document["Statement"]:
                yield f"{stack}/{id}", statement


def listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_only_what_lambda_itself_asks_for_is_granted_on_every_resource(templates: Templates) -> None:
    found = [
        (where, statement)
        for where, statement in statements(templates)
        if "*" in listed(statement["Resource"])
    ]
    assert len(found) == 3
    for where, statement in found:
        assert listed(statement["Action"]) == NETWORK_ACTIONS, where


def test_no_statement_grants_a_whole_service(templates: Templates) -> None:
    for where, statement in statements(templates):
        assert not [
            action for action in listed(statement["Action"]) if action.endswith(":*") or action == "*"
        ], where


def test_every_other_wildcard_stands_behind_a_named_prefix(templates: Templates) -> None:
    for where, statement in statements(templates):
        for resource in listed(statement["Resource"]):
            text = json.dumps(resource)
            if "*" in text and resource != "*":
                assert re.search(r'"(/(forwarded|staged|archive)/\*|:\*)"', text), (where, text)


def test_no_template_holds_a_secret(templates: Templates) -> None:
    for stack, template in templates.stacks.items():
        for path, value in leaves(template):
            if re.search(r"password|secret", path, re.IGNORECASE) and isinstance(value, str):
                assert is_harmless(path, value), f"{stack}: {path} = {value}"


def leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Everything in a template that is neither a list nor a mapping, with the way to it."""
    items = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    )
    if items is None:
        yield path, value
        return
    for key, inside in items:
        yield from leaves(inside, f"{path}/{key}")


def is_harmless(path: str, value: str) -> bool:
    """References, generated secrets' templates, and whatever CloudFormation names itself."""
    setting = path.rsplit("/", 1)[-1] in (
        "MasterUserPassword",
        "AdminUserPassword",
        "SecretString",
        "Password",
    )
    return not setting or value.startswith("{{resolve:")


@pytest.mark.parametrize("secret", ["hunter2", ""])
def test_a_password_in_a_template_would_be_found(secret: str) -> None:
    assert not is_harmless("/Resources/X/Properties/MasterUserPassword", secret)


def test_nothing_exports_what_another_stack_would_hold_on_to(templates: Templates) -> None:
    for template in templates.stacks.values():
        assert "Fn::ImportValue" not in json.dumps(template)
        assert not [output for output in template.get("Outputs", {}).values() if "Export" in output]
