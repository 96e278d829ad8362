"""Faults to order of the emulator: requests that it refuses, or answers late.

POST, GET, DELETE /_pgevents/faults    order one, what they came to, take all back
"""

import asyncio
import urllib.request
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

PATH = "/_pgevents/faults"
_SECONDS = 5.0

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


class EmulatorFault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which requests fail, and how.

    The first `count` whose method is `method` (any, if empty) and whose path contains `contains` wait for
    `seconds` and are then answered with `status`; 0 lets them through after the wait.
    """

    method: str = ""
    contains: str = ""
    count: Annotated[int, Meta(ge=1)] = 1
    seconds: Annotated[float, Meta(ge=0)] = 0.0
    status: int = 503


class EmulatorFaultReport(msgspec.Struct, frozen=True):
    """What the ordered faults came to: how often they struck, and how many requests still wait.

    A request that waits is carried out even when its caller has given it up, as S3 would.
    """

    struck: int
    waiting: int


class EmulatorFaults:
    """The faults that were ordered, and the requests that order them."""

    def __init__(self) -> None:
        self._struck: list[tuple[EmulatorFault, list[str]]] = []
        self._waiting = 0

    def failing(self, application: Application) -> Application:
        """The application behind these faults."""

        async def handle(scope: Message, receive: Receive, send: Send) -> None:
            if scope.get("type") != "http":
                await application(scope, receive, send)
            elif scope["path"] == PATH:
                await self._control(scope["method"], receive, send)
            elif (fault := self._fault_of(scope)) is None:
                await application(scope, receive, send)
            else:
                self._waiting += 1
                try:
                    await _strike(fault, application, scope, receive, send)
                finally:
                    self._waiting -= 1

        return handle

    def _fault_of(self, scope: Message) -> EmulatorFault | None:
        for fault, struck in self._struck:
            if (
                len(struck) < fault.count
                and scope["method"].startswith(fault.method)
                and fault.contains in scope["path"]
            ):
                struck.append(scope["path"])
                return fault
        return None

    async def _control(self, method: str, receive: Receive, send: Send) -> None:
        body = await _drained(receive)
        if method == "POST":
            self._struck.append((msgspec.json.decode(body, type=EmulatorFault), []))
        elif method == "DELETE":
            self._struck.clear()
        report = EmulatorFaultReport(sum(len(struck) for _, struck in self._struck), self._waiting)
        await _answer(send, 200, msgspec.json.encode(report))


class EmulatorControl:
    """The emulator's faults, from outside."""

    def __init__(self, url: str) -> None:
        self._url = url + PATH

    def fault(self, fault: EmulatorFault) -> None:
        """From now on this fails too."""
        self._ask("POST", msgspec.json.encode(fault))

    def report(self) -> EmulatorFaultReport:
        """What the ordered faults came to."""
        return msgspec.json.decode(self._ask("GET"), type=EmulatorFaultReport)

    def clear(self) -> None:
        """Nothing fails any more."""
        self._ask("DELETE")

    def _ask(self, method: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(self._url, body, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=_SECONDS) as reply:  # noqa: S310
            answer: bytes = reply.read()
        return answer


async def _strike(
    fault: EmulatorFault, application: Application, scope: Message, receive: Receive, send: Send
) -> None:
    await asyncio.sleep(fault.seconds)
    if fault.status:
        await _drained(receive)
        await _answer(send, fault.status, b"<Error><Code>SlowDown</Code></Error>")
    else:
        await application(scope, receive, send)


async def _drained(receive: Receive) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/xml"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
