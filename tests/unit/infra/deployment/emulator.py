"""`python emulator.py`: ministack with stubs for the types of our templates that it does not know.

A stub notes that it was made and answers with the attributes that our templates ask for. What such a resource has to
be is asserted on the templates; that it works on AWS is shown by nothing here.
"""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import ministack.app
from ministack.services.cloudformation import provisioners

STUBS: Mapping[str, Mapping[str, str]] = {
    "AWS::EC2::FlowLog": {},
    "AWS::EC2::SecurityGroupIngress": {},
    "AWS::Logs::QueryDefinition": {},
    "AWS::RedshiftServerless::Namespace": {},
    "AWS::RedshiftServerless::Workgroup": {"Workgroup.Endpoint.Address": "127.0.0.1"},
}


def stub(attributes: Mapping[str, str]) -> dict[str, Any]:
    """A handler that makes nothing."""

    def create(logical_id: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, str]]:
        return f"{stack}-{logical_id}-{uuid4().hex[:8]}", dict(attributes)

    def delete(physical_id: str, properties: dict[str, Any]) -> None:
        return None

    return {"create": create, "delete": delete}


def stub_alarms_of_expressions() -> None:
    """ministack knows alarms of one metric, without a label or an expression."""
    known = provisioners._RESOURCE_HANDLERS["AWS::CloudWatch::Alarm"]
    stubbed = stub({"Arn": "arn:aws:cloudwatch:eu-west-1:000000000000:alarm:stub"})

    def create(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        chosen = stubbed if "Metrics" in properties else known
        return chosen["create"](logical_id, properties, stack)

    provisioners._RESOURCE_HANDLERS["AWS::CloudWatch::Alarm"] = {**known, "create": create}


def main() -> None:
    """Runs until it is ended."""
    stub_alarms_of_expressions()
    for kind, attributes in STUBS.items():
        if kind in provisioners._RESOURCE_HANDLERS:
            raise SystemExit(f"ministack knows {kind} by now: take it off the list")
        provisioners._RESOURCE_HANDLERS[kind] = stub(attributes)
    ministack.app.main()


if __name__ == "__main__":
    main()
