"""Who may do what, read off the templates: the roles that they make, each with its statements in words."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

Template = Mapping[str, Any]


class Grant(msgspec.Struct, frozen=True):
    """One action of a role: `may` do this to these resources. `role` is `pipeline/TransformRole`."""

    role: str
    may: str
    resources: tuple[str, ...]
    condition: str = ""


class Role(msgspec.Struct, frozen=True):
    """A role, who takes it on, AWS's own policies that it has, and what else it may."""

    name: str
    taken_by: tuple[str, ...]
    managed: tuple[str, ...]
    grants: tuple[Grant, ...]


def roles(templates: Mapping[str, Template]) -> list[Role]:
    """Every role that a set of templates (by the names of their stacks) makes, in the templates' order."""
    return [
        _role(templates, stack, logical_id, resource["Properties"])
        for stack, template in templates.items()
        for logical_id, resource in template.get("Resources", {}).items()
        if resource["Type"] == "AWS::IAM::Role"
    ]


def _role(
    templates: Mapping[str, Template], stack: str, logical_id: str, properties: Mapping[str, Any]
) -> Role:
    name = f"{stack}/{_plain(logical_id)}"
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    documents += _attached(templates, stack, logical_id)
    return Role(
        name,
        tuple(sorted(set(_principals(properties["AssumeRolePolicyDocument"])))),
        tuple(_words(arn).rsplit("/", 1)[-1] for arn in properties.get("ManagedPolicyArns", [])),
        tuple(grant for document in documents for grant in _grants(name, document)),
    )


def _attached(templates: Mapping[str, Template], stack: str, logical_id: str) -> Iterator[Mapping[str, Any]]:
    """Policies of their own that name the role: in its stack by reference, in a later one by its output."""
    for where, template in templates.items():
        for resource in template.get("Resources", {}).values():
            if resource["Type"] != "AWS::IAM::Policy":
                continue
            named = json.dumps(resource["Properties"].get("Roles", []))
            if (
                f'"{logical_id}"' in named
                and where == stack
                or f"Ref{logical_id}" in named
                and where != stack
            ):
                yield resource["Properties"]["PolicyDocument"]


def _principals(document: Mapping[str, Any]) -> Iterator[str]:
    for statement in document["Statement"]:
        for principal in statement["Principal"].values():
            yield from (_words(each) for each in _listed(principal))


def _grants(role: str, document: Mapping[str, Any]) -> Iterator[Grant]:
    for statement in document["Statement"]:
        resources = tuple(_words(each) for each in _listed(statement["Resource"]))
        conditions = statement.get("Condition", {}).values()
        condition = "; ".join(
            f"{key} is {_words(value)}" for each in conditions for key, value in each.items()
        )
        yield Grant(role, ", ".join(_listed(statement["Action"])), resources, condition)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _words(value: Any) -> str:
    """A template's expression as a person would write it: `arn:aws:s3:::<Bucket>/archive/*`."""
    match value:
        case str():
            return value
        case {"Ref": str(name)}:
            return f"<{_plain(name)}>"
        case {"Fn::GetAtt": [str(name), str(attribute)]}:
            return f"<{_plain(name)}.{attribute}>"
        case {"Fn::Join": [str(separator), list(parts)]}:
            return separator.join(_words(part) for part in parts)
        case {"Fn::GetStackOutput": {"StackName": str(stack), "OutputName": str(output)}}:
            return f"<{_output(stack, output)}>"
        case {"Fn::Sub": str(text)}:
            return text
        case list():
            return ", ".join(_words(each) for each in value)
    return json.dumps(value)


def _output(stack: str, output: str) -> str:
    """`PublishOutputFnGetAttAccountsSecretArn1A2B3C4D` of pgevents-dev-databases: what it is of."""
    short = re.sub(r"^(PublishOutput|ExportsOutput)?(FnGetAtt|Ref)?", "", output)
    return f"{stack.rsplit('-', 1)[-1]}/{_plain(short)}"


def _plain(logical_id: str) -> str:
    """A logical id without the hashes that CDK appends and puts in between."""
    return re.sub(r"(?<=[a-zA-Z])[0-9A-F]{8}(?=$|[A-Z])", "", logical_id)
