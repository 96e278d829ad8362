"""The permissions that a plan prints are all that the templates give, and in words."""

from ops.plan.grants import Role, roles
from tests.unit.infra.conftest import Templates
from tests.unit.infra.test_safety import listed, statements


def test_every_statement_of_the_templates_is_printed_under_its_role(templates: Templates) -> None:
    printed = [
        (action, len(grant.resources))
        for role in roles(templates.stacks)
        for grant in role.grants
        for action in grant.may.split(", ")
    ]
    given = [
        (action, len(listed(statement["Resource"])))
        for _, statement in statements(templates)
        for action in listed(statement["Action"])
    ]
    assert sorted(printed) == sorted(given)


def role_named(templates: Templates, name: str) -> Role:
    [found] = [role for role in roles(templates.stacks) if role.name == name]
    return found


def test_a_role_is_printed_as_a_person_would_say_it(templates: Templates) -> None:
    transform = role_named(templates, "pipeline/TransformRole")
    assert transform.taken_by == ("lambda.amazonaws.com",)
    said = {grant.may: grant.resources for grant in transform.grants}
    assert said["s3:PutObject"] == ("<Bucket.Arn>/archive/*", "<Bucket.Arn>/forwarded/*")
    [writer] = said["lambda:InvokeFunction"]
    assert writer.endswith(f":function:pgevents-{templates.name}-redshift-writer")
    assert "dbuser:<databases/AccountsProxyResourceId>/pgevents_admin" in said["rds-db:connect"][0]


def test_a_policy_in_a_later_stack_is_printed_under_the_role_that_it_is_for(templates: Templates) -> None:
    copy = role_named(templates, "warehouse/CopyRole")
    assert {grant.may for grant in copy.grants} == {"s3:GetObject", "s3:ListBucket"}
    [listing] = [grant for grant in copy.grants if grant.may == "s3:ListBucket"]
    assert listing.condition == "s3:prefix is staged/*"
