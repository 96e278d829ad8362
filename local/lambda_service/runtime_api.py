"""The Runtime API of one execution environment: what awslambdaric polls for work and posts results to.

Every environment has a port of its own: the API tells a process its work by the port that it asks on.
"""

import asyncio
import contextlib
import time

from aiohttp import web

from local.lambda_service.invocation import (
    MAX_RESPONSE,
    MEBIBYTE,
    Invocation,
    Outcome,
    exited,
    too_large,
    trace_id,
)

HOST = "127.0.0.1"
PREFIX = "/2018-06-01/runtime/"
SHUTDOWN_S = 0.1
# awslambdaric repeats an error with its stack in a header for X-Ray, up to a megabyte of it.
MAX_HEADER = 2 * MEBIBYTE


class RuntimeApi:
    """Hands one invocation at a time to one process.

    `initialised` becomes None when the process asks for work the first time, or the outcome that every
    invocation has when its initialisation failed.
    """

    def __init__(self, function_arn: str) -> None:
        loop = asyncio.get_running_loop()
        self.initialised: asyncio.Future[Outcome | None] = loop.create_future()
        self._function_arn = function_arn
        self._work: asyncio.Queue[tuple[Invocation, float]] = asyncio.Queue()
        self._current: tuple[str, asyncio.Future[Outcome]] | None = None
        self._hung_up = False
        # A process that dies while it waits for work must not leave its request waiting for ever.
        self._http = web.Server(
            self._answer, handler_cancellation=True, access_log=None, max_field_size=MAX_HEADER
        )
        self._server: asyncio.Server | None = None

    async def open(self) -> str:
        """Listen on a free port; the address as `host:port`."""
        self._server = await asyncio.get_running_loop().create_server(self._http, HOST, 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return f"{HOST}:{port}"

    async def close(self) -> None:
        """Stop listening and let go of a process that waits."""
        if self._server:
            self._server.close()
            await self._http.shutdown(SHUTDOWN_S)
            await self._server.wait_closed()

    def lost(self) -> bool:
        """Whether the process hung up while it waited for work: it died, and its end is not known yet."""
        return self._hung_up

    def offer(self, invocation: Invocation, timeout_s: float) -> asyncio.Future[Outcome]:
        """Give the process its next invocation. The future is its outcome."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._current = (invocation.request_id, outcome)
        self._work.put_nowait((invocation, time.time() + timeout_s))
        return outcome

    def process_ended(self, return_code: int) -> None:
        """Whatever was waited for will not come any more."""
        if not self.initialised.done():
            self.initialised.set_result(exited("", return_code))
        if self._current:
            request_id, outcome = self._current
            if not outcome.done():
                outcome.set_result(exited(request_id, return_code))

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        match request.method, request.path.removeprefix(PREFIX).split("/"):
            case "GET", ["invocation", "next"]:
                return await self._next()
            case "POST", ["invocation", request_id, "response" | "error" as kind]:
                return await self._result(request, request_id, kind)
            case "POST", ["init", "error"]:
                return await self._init_error(request)
        return web.json_response({"errorType": "InvalidPath"}, status=404)

    async def _next(self) -> web.Response:
        if not self.initialised.done():
            self.initialised.set_result(None)
        try:
            invocation, deadline = await self._work.get()
        except asyncio.CancelledError:
            self._hung_up = True
            raise
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int(deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self._function_arn,
            "Lambda-Runtime-Trace-Id": trace_id(),
        }
        if invocation.client_context:
            headers["Lambda-Runtime-Client-Context"] = invocation.client_context
        return web.Response(body=invocation.payload, content_type="application/json", headers=headers)

    async def _result(self, request: web.BaseRequest, request_id: str, kind: str) -> web.Response:
        body = await request.content.read()
        if not self._current or self._current[0] != request_id or self._current[1].done():
            return web.json_response({"errorType": "InvalidRequestID"}, status=400)
        outcome = self._current[1]
        if len(body) > MAX_RESPONSE:
            outcome.set_result(too_large())
            return web.json_response({"errorType": "RequestEntityTooLarge"}, status=413)
        outcome.set_result(Outcome(body, error="Unhandled" if kind == "error" else None))
        return web.json_response({"status": "OK"}, status=202)

    async def _init_error(self, request: web.BaseRequest) -> web.Response:
        body = await request.content.read()
        with contextlib.suppress(asyncio.InvalidStateError):
            self.initialised.set_result(Outcome(body, error="Unhandled"))
        return web.json_response({"status": "OK"}, status=202)
