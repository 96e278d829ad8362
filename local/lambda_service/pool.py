"""The environments of one function: warm ones are reused, the latest first; idle ones end after a while."""

import asyncio
from collections.abc import Awaitable, Callable

from local.lambda_service.environment import Environment
from local.lambda_service.invocation import Outcome

# Starts an environment; is given the callback that the environment makes when it ends.
Launch = Callable[[Callable[[Environment], None]], Awaitable[Environment]]


class EnvironmentPool:
    """Environments by what they do: idle, or handed out."""

    def __init__(self, launch: Launch, init_timeout_s: float, idle_timeout_s: float) -> None:
        self._launch = launch
        self._init_timeout_s = init_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._all: dict[str, Environment] = {}
        self._idle: dict[str, asyncio.TimerHandle] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    def environments(self) -> list[Environment]:
        """All environments that live, oldest first."""
        return list(self._all.values())

    def warm(self) -> Environment | None:
        """An idle environment, the one used last, taken out of the pool."""
        while self._idle:
            name, expiry = self._idle.popitem()
            expiry.cancel()
            environment = self._all[name]
            if environment.usable:
                return environment
            self._end(environment)
        return None

    async def cold(self, request_id: str, timeout_s: float) -> Environment | Outcome:
        """A new environment, or the outcome that its failed initialisation gives the invocation.

        As on Lambda a failed initialisation is tried once more, then within the function's own time limit.
        Raises OSError when this machine cannot start a process.
        """
        environment = await self._started()
        if await environment.initialise(request_id, self._init_timeout_s, "init") is None:
            return environment
        environment = await self._started()
        failure = await environment.initialise(request_id, timeout_s, "invoke")
        return environment if failure is None else failure

    def give_back(self, environment: Environment) -> None:
        """Keep an environment for the next invocation."""
        if environment.name in self._all:
            loop = asyncio.get_running_loop()
            self._idle[environment.name] = loop.call_later(self._idle_timeout_s, self._end, environment)

    def end_idle(self) -> None:
        """End the idle environments: their configuration is no longer the function's."""
        for name in list(self._idle):
            self._end(self._all[name])

    def end(self, environment: Environment) -> None:
        """End an environment that was handed out."""
        self._end(environment)

    async def close(self) -> None:
        """End all environments, also those that are just being started, and wait until they are gone."""
        self._closed = True
        for environment in self.environments():
            self._end(environment)
        while self._ending:
            await asyncio.gather(*self._ending)

    async def _started(self) -> Environment:
        environment = await self._launch(self._forget)
        self._all[environment.name] = environment
        if self._closed:
            self._end(environment)
        return environment

    def _end(self, environment: Environment) -> None:
        if expiry := self._idle.pop(environment.name, None):
            expiry.cancel()
        task = asyncio.ensure_future(environment.kill())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _forget(self, environment: Environment) -> None:
        self._all.pop(environment.name, None)
        if expiry := self._idle.pop(environment.name, None):
            expiry.cancel()
