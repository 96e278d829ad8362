"""What `./pgevents connect` asks the stacks for is told by them, by names that stay."""

from typing import Any

from tests.unit.infra.conftest import Templates


def told(templates: Templates) -> dict[str, Any]:
    return {
        name: output["Value"]
        for template in templates.stacks.values()
        for name, output in template.get("Outputs", {}).items()
        if name.endswith("Output")
    }


def test_every_database_tells_where_it_is_and_where_its_secret_is(templates: Templates) -> None:
    outputs = told(templates)
    for name in ("Accounts", "Certificates", "Replica"):
        [address, *_] = [outputs[f"{name}EndpointOutput"]["Fn::GetAtt"]]
        assert address[1] == "Endpoint.Address"
        assert outputs[f"{name}SecretOutput"]["Fn::GetAtt"][1] == "MasterUserSecret.SecretArn"
    assert "Address" in outputs["WarehouseEndpointOutput"]["Fn::GetAtt"][1]
    assert outputs["WarehouseSecretOutput"]
    assert outputs["BucketOutput"]["Ref"].startswith("Bucket")


def test_the_queue_of_given_up_events_is_told_for_those_who_read_and_purge_it(templates: Templates) -> None:
    assert told(templates)["DeadLetterQueueUrlOutput"]["Ref"].startswith("DeadLetters")


def test_the_bastion_is_told_with_an_address_only_where_it_has_one(
    templates: Templates, settings: Any
) -> None:
    outputs = told(templates)
    assert outputs["BastionInstanceOutput"]["Ref"].startswith("BastionInstance")
    assert ("BastionAddressOutput" in outputs) == (settings.network.bastion == "ssh")
