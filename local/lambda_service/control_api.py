"""/_pgevents/: what a console, a test or an operator asks of the service besides invoking.

GET                   stats                             figures of every function
GET                   environments                      the processes that live
GET                   functions/NAME/log                ?lines=100&after=0
GET, PATCH            functions/NAME/configuration      any fields of FunctionConfiguration but the name
GET, POST, DELETE     functions/NAME/faults             see faults.Fault
GET, POST, DELETE     functions/NAME/strikes            see strikes.Strike
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from local.lambda_service.configuration import FunctionConfiguration, ServiceConfiguration, check
from local.lambda_service.destinations import check_destinations
from local.lambda_service.events import EventQueue
from local.lambda_service.faults import Fault
from local.lambda_service.logs import LogLine
from local.lambda_service.strikes import Strike
from pgevents.errors import InputError

PREFIX = "/_pgevents"


class EnvironmentReport(msgspec.Struct, frozen=True):
    """A process of a function. `busy_with` is the request id of the invocation that it runs."""

    function: str
    pid: int
    invocations: int
    busy_with: str | None


class LogReport(msgspec.Struct, frozen=True):
    """Lines of a function's log. Ask again with `after` for those that come later."""

    lines: list[LogLine]
    after: int


class FaultReport(msgspec.Struct, frozen=True):
    """A fault and how often it struck."""

    fault: Fault
    struck: int


class ControlApi:
    """Shows and changes the functions behind these queues."""

    def __init__(self, configuration: ServiceConfiguration, queues: Mapping[str, EventQueue]) -> None:
        self._configuration = configuration
        self._queues = queues

    def routes(self) -> list[web.AbstractRouteDef]:
        """What to add to a web application."""
        function = f"{PREFIX}/functions/{{function}}"
        return [
            web.get(f"{PREFIX}/stats", self._stats),
            web.get(f"{PREFIX}/environments", self._environments),
            web.get(f"{function}/log", _answering(self._log)),
            web.get(f"{function}/configuration", _answering(self._shown)),
            web.patch(f"{function}/configuration", _answering(self._changed)),
            web.get(f"{function}/faults", _answering(self._faults)),
            web.post(f"{function}/faults", _answering(self._add_fault)),
            web.delete(f"{function}/faults", _answering(self._clear_faults)),
            web.get(f"{function}/strikes", _answering(self._strikes)),
            web.post(f"{function}/strikes", _answering(self._add_strike)),
            web.delete(f"{function}/strikes", _answering(self._clear_strikes)),
        ]

    async def _stats(self, request: web.Request) -> web.Response:
        figures = {name: queue.function.statistics(len(queue)) for name, queue in self._queues.items()}
        return _json(figures)

    async def _environments(self, request: web.Request) -> web.Response:
        return _json(
            [
                EnvironmentReport(name, environment.pid, environment.invocations, environment.busy_with)
                for name, queue in self._queues.items()
                for environment in queue.function.environments()
            ]
        )

    async def _log(self, request: web.Request) -> object:
        after = _whole_number(request, "after", 0)
        lines = self._queue(request).function.log.tail(_whole_number(request, "lines", 100), after)
        return LogReport(lines, lines[-1].number if lines else after)

    async def _shown(self, request: web.Request) -> object:
        return self._queue(request).function.configuration

    async def _changed(self, request: web.Request) -> object:
        function = self._queue(request).function
        changes = msgspec.json.decode(await request.read(), type=dict[str, Any])
        if "name" in changes:
            raise InputError("name: a function keeps its name; leave it out")
        old: dict[str, Any] = msgspec.to_builtins(function.configuration)
        function.configure(self._checked(msgspec.convert({**old, **changes}, FunctionConfiguration)))
        return function.configuration

    async def _faults(self, request: web.Request) -> object:
        active = self._queue(request).function.faults.active()
        return [FaultReport(fault.fault, fault.struck) for fault in active]

    async def _add_fault(self, request: web.Request) -> object:
        faults = self._queue(request).function.faults
        faults.add(msgspec.json.decode(await request.read(), type=Fault))
        return await self._faults(request)

    async def _clear_faults(self, request: web.Request) -> object:
        self._queue(request).function.faults.clear()
        return []

    async def _strikes(self, request: web.Request) -> object:
        return self._queue(request).function.strikes.reports()

    async def _add_strike(self, request: web.Request) -> object:
        strikes = self._queue(request).function.strikes
        strikes.add(msgspec.json.decode(await request.read(), type=Strike))
        return strikes.reports()

    async def _clear_strikes(self, request: web.Request) -> object:
        self._queue(request).function.strikes.clear()
        return []

    def _queue(self, request: web.Request) -> EventQueue:
        name = request.match_info["function"]
        if name not in self._queues:
            raise InputError(f"there is no function {name}; name one of {', '.join(self._queues)}")
        return self._queues[name]

    def _checked(self, changed: FunctionConfiguration) -> FunctionConfiguration:
        """A function's new configuration, checked together with those that the others have now."""
        functions = tuple(
            changed if name == changed.name else queue.function.configuration
            for name, queue in self._queues.items()
        )
        whole = msgspec.structs.replace(self._configuration, functions=functions)
        check(whole)
        check_destinations(whole)
        return changed


def _answering(
    answer: Callable[[web.Request], Awaitable[object]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler that answers with JSON, and with status 400 and one line when the input is wrong."""

    async def handler(request: web.Request) -> web.Response:
        try:
            return _json(await answer(request))
        except (InputError, msgspec.MsgspecError) as error:
            return _json({"error": str(error)}, status=400)

    return handler


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", status=status)


def _whole_number(request: web.Request, parameter: str, default: int) -> int:
    try:
        return int(request.query.get(parameter, default))
    except ValueError as error:
        raise InputError(f"{parameter}: {request.query[parameter]} is not a whole number") from error
