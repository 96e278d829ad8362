"""What happens with an asynchronous event when it is through: on-success and on-failure."""

import asyncio
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from local.lambda_service.configuration import ServiceConfiguration
from local.lambda_service.function import Function
from local.lambda_service.invocation import MAX_ASYNC_PAYLOAD, FunctionError, Invocation, Outcome
from local.lambda_service.isolation import LATEST
from pgevents.errors import InputError, TransientError

Condition = Literal["Success", "RetriesExhausted", "EventAgeExceeded", "ZeroReservedConcurrency"]

MAX_RECORD = MAX_ASYNC_PAYLOAD
# A queue that does not answer is not at fault for long: waits before each further try.
SEND_AGAIN_AFTER_S = (0.5, 1.0, 2.0, 4.0)


class RequestContext(msgspec.Struct, frozen=True, rename="camel"):
    """Which event it was and how it ended."""

    request_id: str
    function_arn: str
    condition: Condition
    approximate_invoke_count: int


class ResponseContext(msgspec.Struct, frozen=True, rename="camel"):
    """How the last attempt ended. The status is Lambda's own: 200, whatever the function did."""

    status_code: int
    executed_version: str
    function_error: FunctionError | msgspec.UnsetType = msgspec.UNSET


class DestinationRecord(msgspec.Struct, frozen=True, rename="camel"):
    """What a destination is sent. There is no response when the function never ran."""

    version: str
    timestamp: str
    request_context: RequestContext
    request_payload: msgspec.Raw
    response_context: ResponseContext | msgspec.UnsetType = msgspec.UNSET
    response_payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class DestinationFailed(TransientError):
    """A destination did not take a record."""


class Queues:
    """SQS queues of the emulator, by their ARN."""

    def __init__(self, endpoint: str | None, region: str) -> None:
        self._endpoint = endpoint
        self._region = region
        self._client: Any = None
        self._making = threading.Lock()

    def send(self, arn: str, body: str) -> None:
        """Send a message. Blocks; raises DestinationFailed."""
        import botocore.exceptions

        try:
            client = self._sqs()
            url = client.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
            client.send_message(QueueUrl=url, MessageBody=body)
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            raise DestinationFailed(f"{arn}: {error}") from error

    def _sqs(self) -> Any:
        # Imported when a record is first sent: the import takes a quarter of a second, most runs need none.
        from boto3.session import Session
        from botocore.config import Config

        with self._making:
            if self._client is None:
                self._client = Session("local", "local", region_name=self._region).client(
                    "sqs",
                    endpoint_url=self._endpoint,
                    config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}),
                )
        return self._client


class Destinations:
    """Sends records to the destinations that functions name; `invoke` gives an event to a function."""

    def __init__(self, service: ServiceConfiguration, invoke: Callable[[str, bytes], object]) -> None:
        self._service = service
        self._invoke = invoke
        self._queues = Queues(service.aws_endpoint, service.region)
        self._sending: set[asyncio.Task[None]] = set()

    def send(
        self,
        function: Function,
        condition: Condition,
        invocation: Invocation,
        attempts: int,
        outcome: Outcome | None,
    ) -> None:
        """Send a record on its way, if the function has a destination for it."""
        configuration = function.configuration
        arn = configuration.on_success if condition == "Success" else configuration.on_failure
        if arn is None:
            return
        record = destination_record(function.qualified_arn, condition, invocation, attempts, outcome)
        task = asyncio.get_running_loop().create_task(self._deliver(function, arn, record))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def close(self) -> None:
        """Stop sending."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _deliver(self, function: Function, arn: str, record: bytes) -> None:
        """A record that cannot be delivered is lost, as on Lambda: logged and counted."""
        try:
            if len(record) > MAX_RECORD:
                raise DestinationFailed(f"{arn}: the record has {len(record)} bytes, more than {MAX_RECORD}")
            if name := function_named(arn):
                self._invoke(name, record)
            else:
                await self._send_message(arn, record.decode())
        except DestinationFailed as failure:
            function.counts.destination_failures += 1
            function.log.write(f"DESTINATION FAILED {failure}")
            function.log.flush()
        else:
            function.counts.destinations += 1

    async def _send_message(self, arn: str, body: str) -> None:
        for wait_s in SEND_AGAIN_AFTER_S:
            try:
                return await asyncio.to_thread(self._queues.send, arn, body)
            except DestinationFailed:
                await asyncio.sleep(wait_s)
        return await asyncio.to_thread(self._queues.send, arn, body)


def destination_record(
    function_arn: str, condition: Condition, invocation: Invocation, attempts: int, outcome: Outcome | None
) -> bytes:
    """The record of an event that is through, as JSON in Lambda's shape."""
    answered: ResponseContext | msgspec.UnsetType = msgspec.UNSET
    if outcome:
        answered = ResponseContext(200, LATEST, outcome.error or msgspec.UNSET)
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    record = DestinationRecord(
        version="1.0",
        timestamp=now,
        request_context=RequestContext(invocation.request_id, function_arn, condition, attempts),
        request_payload=msgspec.Raw(invocation.payload),
        response_context=answered,
        response_payload=_json(outcome.payload) if outcome else msgspec.UNSET,
    )
    return msgspec.json.encode(record)


def function_named(arn: str) -> str | None:
    """The name of the function that an ARN names, or None when it names something else."""
    match = re.fullmatch(r"arn:aws:lambda:[^:]+:\d{12}:function:([A-Za-z0-9_-]+)", arn)
    return match[1] if match else None


def check_destinations(service: ServiceConfiguration) -> None:
    """Raises InputError when a destination is neither a function of this service nor an SQS queue."""
    names = {function.name for function in service.functions}
    for function in service.functions:
        for arn in filter(None, (function.on_success, function.on_failure)):
            _check_destination(service, function.name, arn, names)


def _check_destination(service: ServiceConfiguration, function: str, arn: str, names: set[str]) -> None:
    target, where = function_named(arn), f"function {function}: destination {arn}"
    if target is not None and target not in names:
        raise InputError(f"{where}: there is no function {target}; name one of {', '.join(sorted(names))}")
    if target is None and not re.fullmatch(r"arn:aws:sqs:[^:]+:\d{12}:[A-Za-z0-9_-]+", arn):
        raise InputError(f"{where} is not the ARN of a function or of an SQS queue; name one of these")
    if target is None and service.aws_endpoint is None:
        raise InputError(f"{where} needs aws_endpoint; name the URL where SQS answers")


def _json(text: bytes) -> msgspec.Raw:
    """A response as it is when it is JSON, or as a JSON string: a function may also return bytes."""
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except msgspec.DecodeError:
        return msgspec.Raw(msgspec.json.encode(text.decode("utf-8", "replace")))
    return msgspec.Raw(text)
