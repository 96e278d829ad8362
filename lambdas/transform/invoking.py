"""Asynchronous invocations of Lambda functions: queued there, and no answer is waited for."""

from typing import TYPE_CHECKING

from pgevents.errors import TransientError
from transform.sinks.aws_errors import aws_errors

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


def invoke(client: "LambdaClient", function: str, event: bytes) -> None:
    """Queues an event for a function. Raises TransientError unless Lambda says that it has taken it."""
    with aws_errors(f"invoke {function}"):
        answer = client.invoke(FunctionName=function, InvocationType="Event", Payload=event)
        # Empty, and read all the same: only then does the next call go over this connection.
        answer["Payload"].read()
    if answer["StatusCode"] != 202:
        raise TransientError(f"could not invoke {function}: it answered {answer['StatusCode']}, not 202")
