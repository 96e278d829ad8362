"""The pipeline: both functions, what they are told, where their results go, and the sweep."""

import json
from typing import Any

import msgspec
import pytest

from infra.settings import Environment
from pgevents.settings import TransformSettings, WriterSettings
from tests.unit.infra.conftest import Templates
from trigger_installer.settings import InstallerSettings

HANDLERS = {
    "transform": "transform.handler.handle",
    "redshift-writer": "redshift_writer.handler.handle",
    "trigger-installer": "trigger_installer.handler.handle",
}


def function(templates: Templates, name: str) -> dict[str, Any]:
    [found] = [
        properties
        for properties in templates.properties("AWS::Lambda::Function")
        if properties.get("FunctionName") == f"pgevents-{templates.name}-{name}"
    ]
    return found


def variables(templates: Templates, name: str) -> dict[str, str]:
    """A function's environment as it will be, with a word in the place of whatever AWS fills in."""
    return {
        key: filled(value) for key, value in function(templates, name)["Environment"]["Variables"].items()
    }


def filled(value: object) -> str:
    if isinstance(value, dict) and "Fn::Join" in value:
        separator, parts = value["Fn::Join"]
        return str(separator).join(filled(part) for part in parts)
    return value if isinstance(value, str) else "filled-in"


@pytest.mark.parametrize("name", HANDLERS)
def test_functions_run_on_graviton_in_the_vpc_with_the_newest_python_and_json_logs(
    templates: Templates, name: str
) -> None:
    found = function(templates, name)
    assert found["Handler"] == HANDLERS[name]
    assert (found["Architectures"], found["Runtime"]) == (["arm64"], "python3.14")
    assert found["LoggingConfig"]["LogFormat"] == "JSON"
    assert found["RecursiveLoop"] == "Terminate"
    assert len(found["VpcConfig"]["SubnetIds"]) == 3


def test_what_the_functions_are_told_is_what_their_settings_read(templates: Templates) -> None:
    transform = TransformSettings.read(variables(templates, "transform"))
    assert set(transform.connections.sources) == {"accounts", "certificates"}
    assert set(transform.connections.sinks) == {"replica"}
    for connection in [*transform.connections.sources.values(), *transform.connections.sinks.values()]:
        assert (connection.iam, connection.secret, connection.sslmode) == (True, "", "require")
    assert transform.writer_function == f"pgevents-{templates.name}-redshift-writer"
    redshift = WriterSettings.read(variables(templates, "redshift-writer")).redshift
    assert (redshift.port, redshift.secret, redshift.sslmode) == (5439, "filled-in", "verify-full")
    installer = InstallerSettings.read(
        {**variables(templates, "trigger-installer"), "AWS_REGION": "eu-west-1"}
    )
    assert installer.transform_function == f"pgevents-{templates.name}-transform"
    assert {source.secret for source in installer.connections.sources.values()} == {"filled-in"}


def test_the_transform_goes_through_the_proxies_and_the_installer_to_the_instances(
    templates: Templates,
) -> None:
    transform = json.dumps(function(templates, "transform")["Environment"])
    assert "ProxyEndpoint" in transform or "Proxy" in transform
    assert "InstanceEndpoint" not in transform
    assert "EndpointAddress" in json.dumps(function(templates, "trigger-installer")["Environment"])


def test_each_batch_in_flight_has_a_writer(templates: Templates) -> None:
    """16 batches of each of two sources; with fewer, Lambda would let events wait for minutes."""
    assert function(templates, "redshift-writer")["ReservedConcurrentExecutions"] == 32


def test_the_writer_knows_a_new_form_of_batches_before_the_transform_sends_it(templates: Templates) -> None:
    [transform] = [
        resource
        for resource in templates.resources("AWS::Lambda::Function").values()
        if resource["Properties"].get("FunctionName") == f"pgevents-{templates.name}-transform"
    ]
    assert [name for name in transform["DependsOn"] if name.startswith("WriterFunction")]


def destinations(templates: Templates, name: str) -> dict[str, Any]:
    """An event-invoke configuration by its function's construct."""
    [found] = [
        properties
        for properties in templates.properties("AWS::Lambda::EventInvokeConfig")
        if properties["FunctionName"]["Ref"].startswith(name)
    ]
    return found


def test_what_fails_goes_to_the_queue_and_what_succeeds_to_the_transform(templates: Templates) -> None:
    writer, transform = destinations(templates, "Writer"), destinations(templates, "Transform")
    for found in (writer, transform):
        assert "DeadLetters" in json.dumps(found["DestinationConfig"]["OnFailure"])
        assert (found["MaximumRetryAttempts"], found["MaximumEventAgeInSeconds"]) == (2, 6 * 3600)
    assert f"function:pgevents-{templates.name}-transform" in json.dumps(
        writer["DestinationConfig"]["OnSuccess"]
    )
    assert "OnSuccess" not in transform["DestinationConfig"]


def test_dead_letters_stay_as_long_as_sqs_allows(templates: Templates) -> None:
    [queue] = templates.properties("AWS::SQS::Queue")
    assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600
    assert queue["SqsManagedSseEnabled"] is True


def test_every_source_has_a_sweep_of_its_own(templates: Templates, settings: Environment) -> None:
    rules = templates.properties("AWS::Events::Rule")
    inputs = [msgspec.json.decode(target["Input"]) for rule in rules for target in rule["Targets"]]
    assert inputs == [{"kind": "sweep", "source": name} for name in ("accounts", "certificates")]
    minutes = settings.functions.sweep_minutes
    assert {rule["ScheduleExpression"] for rule in rules} == {f"rate({minutes} minute{'s' * (minutes > 1)})"}


def test_the_bucket_is_private_encrypted_and_lets_go_of_what_was_handed_on(
    templates: Templates, settings: Environment
) -> None:
    [bucket] = templates.properties("AWS::S3::Bucket", "pipeline")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["BucketEncryption"]
    rules = {rule["Prefix"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}
    assert rules["forwarded/"]["ExpirationInDays"] == settings.storage.forwarded_days
    assert rules["staged/"]["ExpirationInDays"] == 1
    assert "ExpirationInDays" not in rules["archive/"]
    assert [step["StorageClass"] for step in rules["archive/"]["Transitions"]] == [
        "STANDARD_IA",
        "GLACIER_IR",
    ]


def test_logs_are_kept_for_a_time_that_was_chosen(templates: Templates) -> None:
    groups = templates.properties("AWS::Logs::LogGroup")
    assert groups
    assert all(group["RetentionInDays"] for group in groups)
    named = {group.get("LogGroupName") for group in groups}
    assert {f"/aws/lambda/pgevents-{templates.name}-{name}" for name in HANDLERS} <= named
