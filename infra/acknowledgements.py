"""Findings of cdk-nag that are accepted, each on its resource and with its reason."""

from collections.abc import Mapping

from aws_cdk import Acknowledgment, CfnElement, Stack, Validations
from aws_cdk import aws_s3 as s3
from constructs import IConstruct


def acknowledge(construct: IConstruct, reasons: Mapping[str, str]) -> None:
    """Accepts AwsSolutions findings for a construct and what it is made of.

    `EC23` is a rule; `IAM5[Resource::*]` is one finding of a rule that tells its findings apart.
    """
    Validations.of(construct).acknowledge(
        *(
            Acknowledgment(id=f"AwsSolutions::AwsSolutions-{finding}", reason=reason)
            for finding, reason in reasons.items()
        )
    )


def objects_finding(bucket: s3.IBucket, prefix: str) -> str:
    """The finding that a policy reaches every object below a prefix: S3 has nothing narrower to offer."""
    return f"IAM5[Resource::<{logical_id(bucket)}.Arn>/{prefix}/*]"


def logical_id(construct: IConstruct) -> str:
    """The name of a construct's main resource in its template."""
    resource = construct.node.default_child
    if not CfnElement.is_cfn_element(resource):
        raise AssertionError(f"{construct.node.path} has no resource of its own")
    return str(Stack.of(construct).resolve(resource.logical_id))  # type: ignore[union-attr]
