"""The service: functions, their queues, the APIs, the schedules, started and stopped together."""

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
from aiohttp import web

from local.lambda_service.concurrency import Concurrency
from local.lambda_service.configuration import ServiceConfiguration, check
from local.lambda_service.control_api import ControlApi
from local.lambda_service.destinations import Destinations, check_destinations
from local.lambda_service.events import EventQueue
from local.lambda_service.function import Function
from local.lambda_service.invoke_api import InvokeApi
from local.lambda_service.runtime_api import HOST
from local.lambda_service.schedule import Schedules
from pgevents.errors import InputError

STOP_GRACE_S = 1.0
STOP_LOOK_S = 0.02

# Adds routes of its own to the service's web application: a console, for one.
Extension = Callable[[web.Application, "LambdaService"], None]


class LambdaService:
    """AWS Lambda on this machine.

    Start and stop it in the same event loop, in a thread that lives as long as the service.
    """

    def __init__(self, configuration: ServiceConfiguration, extensions: Sequence[Extension] = ()) -> None:
        """Raises InputError when the configuration's parts do not fit each other."""
        check(configuration)
        check_destinations(configuration)
        self.configuration = configuration
        self._extensions = extensions
        self._schedules = Schedules()
        self._queues: dict[str, EventQueue] = {}
        self._concurrency = Concurrency(configuration.account_concurrency)
        self._destinations = Destinations(configuration, self.invoke_async)
        self._runner: web.AppRunner | None = None
        self._invoke_api: InvokeApi | None = None
        self.url = ""

    @property
    def queues(self) -> Mapping[str, EventQueue]:
        """The functions by name, each behind its queue."""
        return MappingProxyType(self._queues)

    async def start(self) -> None:
        """Listen, and begin with the schedules. Raises InputError when the port is in use."""
        for configuration in self.configuration.functions:
            function = Function(configuration, self.configuration, self._concurrency)
            self._queues[function.name] = EventQueue(function, self._concurrency, self._destinations)
        try:
            await self._listen()
        except OSError as error:
            await self.stop()
            where = f"port {self.configuration.port}"
            raise InputError(f"{where}: {error.strerror}; choose another or stop what uses it") from error
        shutil.rmtree(Path(self.configuration.state) / "tmp" / "lambda", ignore_errors=True)
        for queue in self._queues.values():
            queue.function.service_url = self.url
        for schedule in self.configuration.schedules:
            self.every(schedule.every_s, schedule.function, schedule.payload)

    def invoke_async(self, function: str, payload: bytes) -> str:
        """Queue an event (a JSON text) for a function. Its request id."""
        return self._queues[function].put(payload)

    def every(self, seconds: float, function: str, payload: Any) -> None:
        """Invoke a function asynchronously every so many seconds, the first time after one interval."""
        event = msgspec.json.encode(payload)
        self._schedules.every(seconds, lambda: self.invoke_async(function, event))

    async def stop(self) -> None:
        """Stop listening, give running invocations a moment, then end every process.

        Events that are still queued are lost, and none of them becomes a dead letter.
        """
        await self._schedules.close()
        if self._invoke_api:
            self._invoke_api.close()
        functions = [queue.function for queue in self._queues.values()]
        closing = [asyncio.ensure_future(queue.close()) for queue in self._queues.values()]
        await self._wait_for_invocations()
        await asyncio.gather(*(function.close() for function in functions))
        await asyncio.gather(*closing)
        await self._destinations.close()
        if self._runner:
            await self._runner.cleanup()
        for function in functions:
            function.log.close()

    async def _listen(self) -> None:
        application = web.Application()
        self._invoke_api = InvokeApi(self.configuration, self.queues)
        application.add_routes(self._invoke_api.routes())
        application.add_routes(ControlApi(self.configuration, self.queues).routes())
        for extend in self._extensions:
            extend(application, self)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=STOP_GRACE_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self.configuration.port)
        await site.start()
        self.url = f"http://{HOST}:{self._runner.addresses[0][1]}"

    async def _wait_for_invocations(self) -> None:
        until = time.monotonic() + STOP_GRACE_S
        while time.monotonic() < until and any(map(self._concurrency.busy, self._queues)):
            await asyncio.sleep(STOP_LOOK_S)
