"""The Invoke API, as boto3's Lambda client speaks it.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

import asyncio
import base64
import binascii
import re
import time
from collections.abc import Mapping
from typing import Literal, assert_never

import msgspec
from aiohttp import web

from local.lambda_service.configuration import ServiceConfiguration
from local.lambda_service.events import EventQueue
from local.lambda_service.faults import CALL_FAULTS, Fault
from local.lambda_service.function import ServiceFailed, Throttled
from local.lambda_service.invocation import (
    MAX_ASYNC_PAYLOAD,
    MAX_SYNC_PAYLOAD,
    Invocation,
    new_request_id,
)
from local.lambda_service.isolation import LATEST

InvocationType = Literal["RequestResponse", "Event", "DryRun"]

PATH = "/2015-03-31/functions/{function}/invocations"
FUNCTION = re.compile(
    r"(?:arn:aws:lambda:(?P<region>[a-z0-9-]+):)?(?:(?P<account>\d{12}):)?(?:function:)?"
    r"(?P<name>[A-Za-z0-9_-]+)(?::(?P<qualifier>[A-Za-z0-9_$-]+))?"
)
LIMITS: Mapping[InvocationType, int] = {
    "RequestResponse": MAX_SYNC_PAYLOAD,
    "DryRun": MAX_SYNC_PAYLOAD,
    "Event": MAX_ASYNC_PAYLOAD,
}
HANGING_LOOK_S = 0.05


class Refused(Exception):
    """A call that is answered with an error of the Invoke API."""

    def __init__(self, status: int, error: str, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.reason = reason

    def response(self, request_id: str) -> web.Response:
        """The error as boto3 reads it."""
        kind = "User" if self.status < 500 else "Service"
        body = {"Type": kind, "message": str(self), "Message": str(self)}
        if self.reason:
            body["Reason"] = self.reason
        headers = {"x-amzn-ErrorType": self.error, "x-amzn-RequestId": request_id}
        return web.json_response(body, status=self.status, headers=headers)


class InvokeApi:
    """Answers invocations of the functions behind these queues."""

    def __init__(self, configuration: ServiceConfiguration, queues: Mapping[str, EventQueue]) -> None:
        self._configuration = configuration
        self._queues = queues
        self._closing = asyncio.Event()

    def routes(self) -> list[web.AbstractRouteDef]:
        """What to add to a web application."""
        return [web.post(PATH, self._invoke)]

    def close(self) -> None:
        """Let go of the calls that a fault lets hang."""
        self._closing.set()

    async def _invoke(self, request: web.Request) -> web.Response:
        try:
            queue = self._queue(request)
            kind = _invocation_type(request)
            payload = await _payload(request, kind)
            context = _client_context(request)
            await self._suffer(queue, request, payload)
            match kind:
                case "DryRun":
                    return web.Response(status=204, headers={"x-amzn-RequestId": new_request_id()})
                case "Event":
                    return web.Response(status=202, headers={"x-amzn-RequestId": queue.put(payload, context)})
                case "RequestResponse":
                    return await _run(queue, request, Invocation(payload, new_request_id(), context))
                case _:
                    assert_never(kind)
        except Refused as refusal:
            return refusal.response(new_request_id())

    def _queue(self, request: web.Request) -> EventQueue:
        wanted = request.match_info["function"]
        parts = FUNCTION.fullmatch(wanted)
        if parts is None:
            raise Refused(400, "InvalidParameterValueException", f"{wanted} is not a function name or ARN")
        here = (parts["region"] in (None, self._configuration.region)) and (
            parts["account"] in (None, self._configuration.account)
        )
        qualifier = request.query.get("Qualifier") or parts["qualifier"] or LATEST
        if here and qualifier == LATEST and parts["name"] in self._queues:
            return self._queues[parts["name"]]
        named = wanted if wanted.startswith("arn:") else self._configuration.function_arn(parts["name"])
        suffix = "" if qualifier == LATEST or parts["qualifier"] else f":{qualifier}"
        raise Refused(404, "ResourceNotFoundException", f"Function not found: {named}{suffix}")

    async def _suffer(self, queue: EventQueue, request: web.Request, payload: bytes) -> None:
        fault = queue.function.faults.strike(CALL_FAULTS, payload)
        if fault is None:
            return
        if fault.kind == "refuse":
            raise Refused(fault.status, fault.error, "refused by an injected fault")
        await self._hang(request, fault)

    async def _hang(self, request: web.Request, fault: Fault) -> None:
        until = time.monotonic() + fault.seconds
        while time.monotonic() < until and not self._closing.is_set():
            if request.transport is None or request.transport.is_closing():
                raise Refused(499, "ClientClosedRequest", "the caller hung up")
            await asyncio.sleep(HANGING_LOOK_S)


async def _run(queue: EventQueue, request: web.Request, invocation: Invocation) -> web.Response:
    try:
        outcome = await queue.function.invoke(invocation)
    except Throttled as throttle:
        raise Refused(429, "TooManyRequestsException", "Rate Exceeded.", str(throttle)) from throttle
    except ServiceFailed as failure:
        raise Refused(500, "ServiceException", str(failure)) from failure
    headers = {
        "x-amzn-RequestId": invocation.request_id,
        "X-Amz-Executed-Version": LATEST,
        "x-amzn-Remapped-Content-Length": "0",
    }
    if outcome.error:
        headers["X-Amz-Function-Error"] = outcome.error
    if request.headers.get("X-Amz-Log-Type") == "Tail":
        headers["X-Amz-Log-Result"] = base64.b64encode(outcome.log_tail).decode()
    return web.Response(body=outcome.payload, content_type="application/json", headers=headers)


def _invocation_type(request: web.Request) -> InvocationType:
    wanted = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
    try:
        kind: InvocationType = msgspec.convert(wanted, InvocationType)
    except msgspec.ValidationError as error:
        message = f"{wanted} is not an invocation type: RequestResponse, Event or DryRun"
        raise Refused(400, "InvalidParameterValueException", message) from error
    return kind


async def _payload(request: web.Request, kind: InvocationType) -> bytes:
    """The body, an empty one as an empty object.

    It is read to its end in any case: a caller that is refused while it still sends sees a broken connection
    instead of the error.
    """
    limit, payload, size = LIMITS[kind], bytearray(), 0
    async for chunk in request.content.iter_chunked(65_536):
        size += len(chunk)
        if size <= limit:
            payload += chunk
    if size > limit:
        message = f"{size} byte payload is too large for the {kind} invocation type (limit {limit} bytes)"
        raise Refused(413, "RequestTooLargeException", message)
    if not payload:
        return b"{}"
    try:
        payload.decode()
        msgspec.json.decode(payload, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"Could not parse request body into json: {error}"
        raise Refused(400, "InvalidRequestContentException", message) from error
    return bytes(payload)


def _client_context(request: web.Request) -> str | None:
    encoded = request.headers.get("X-Amz-Client-Context")
    if encoded is None:
        return None
    try:
        context = base64.b64decode(encoded, validate=True)
        msgspec.json.decode(context, type=dict)
        return context.decode()
    except (binascii.Error, msgspec.MsgspecError, UnicodeDecodeError) as error:
        message = "Client context must be a valid Base64-encoded JSON object."
        raise Refused(400, "InvalidRequestContentException", message) from error
