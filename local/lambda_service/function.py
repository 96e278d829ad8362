"""A function: its configuration, its environments and what was counted of it."""

import time
from collections.abc import Callable
from pathlib import Path

from local.lambda_service.concurrency import Concurrency
from local.lambda_service.configuration import FunctionConfiguration, ServiceConfiguration
from local.lambda_service.environment import Environment
from local.lambda_service.faults import Faults
from local.lambda_service.invocation import Invocation, Outcome
from local.lambda_service.isolation import LATEST, function_variables
from local.lambda_service.logs import FunctionLog
from local.lambda_service.pool import EnvironmentPool
from local.lambda_service.statistics import Counts, Durations, FunctionStatistics
from local.lambda_service.strikes import FOLDER_VARIABLE, Strikes
from pgevents.errors import TransientError

# What a process is told when it starts and cannot be told again.
IN_PROCESS = ("package", "handler", "memory_mb", "environment")


class Throttled(TransientError):
    """There is no free slot. The message is Lambda's name for the limit that was reached."""


class ServiceFailed(TransientError):
    """This machine could not run the function; the function itself was not at fault."""


class Function:
    """Runs invocations of one function, one at a time in each environment."""

    def __init__(
        self, configuration: FunctionConfiguration, service: ServiceConfiguration, concurrency: Concurrency
    ) -> None:
        self.configuration = configuration
        self.arn = service.function_arn(configuration.name)
        self.counts = Counts()
        self.faults = Faults()
        self.strikes = Strikes(Path(service.state).resolve() / "strikes" / configuration.name)
        self.log = FunctionLog(Path(service.state) / "logs" / "lambda" / f"{configuration.name}.log")
        self.service_url = ""
        self._service = service
        self._concurrency = concurrency
        self._durations = Durations()
        self._pool = EnvironmentPool(self._launch, service.init_timeout_s, service.idle_timeout_s)
        concurrency.reserve(configuration.name, configuration.reserved_concurrency)

    @property
    def name(self) -> str:
        """The function's name."""
        return self.configuration.name

    @property
    def qualified_arn(self) -> str:
        """The ARN with the only version that there is."""
        return f"{self.arn}:{LATEST}"

    async def invoke(self, invocation: Invocation) -> Outcome:
        """Run the function once for a synchronous caller.

        Raises Throttled when there is no free slot and ServiceFailed when no process can be started.
        """
        self.counts.sync += 1
        if not self._concurrency.try_acquire(self.name):
            self.counts.throttles += 1
            raise Throttled(self._concurrency.throttle_reason(self.name))
        try:
            return await self.run(invocation)
        finally:
            self._concurrency.release(self.name)

    async def run(self, invocation: Invocation) -> Outcome:
        """Run the function once, in a slot that the caller holds. Raises ServiceFailed."""
        try:
            outcome = await self._run(invocation)
        except OSError as error:
            self.counts.service_errors += 1
            raise ServiceFailed(f"{self.name}: no process can be started: {error}") from error
        if outcome.error:
            self.counts.errors += 1
        else:
            self.counts.successes += 1
        return outcome

    def configure(self, configuration: FunctionConfiguration) -> None:
        """Take another configuration. Environments with the old one end with their invocation."""
        if not _same_process(self.configuration, configuration):
            self._pool.end_idle()
        self.configuration = configuration
        self._concurrency.reserve(self.name, configuration.reserved_concurrency)
        self._concurrency.announce()

    def environments(self) -> list[Environment]:
        """The environments that live."""
        return self._pool.environments()

    def statistics(self, queued: int) -> FunctionStatistics:
        """The figures now; how many events are queued is the caller's to know."""
        return FunctionStatistics(
            counts=self.counts,
            queued=queued,
            busy=self._concurrency.busy(self.name),
            environments=len(self.environments()),
            duration_p50_ms=self._durations.percentile(50),
            duration_p99_ms=self._durations.percentile(99),
        )

    async def close(self) -> None:
        """End all environments."""
        await self._pool.close()

    async def _run(self, invocation: Invocation) -> Outcome:
        timeout_s = self.configuration.timeout_s
        environment: Environment | Outcome | None = self._pool.warm()
        if environment is None:
            self.counts.cold_starts += 1
            environment = await self._pool.cold(invocation.request_id, timeout_s)
        if isinstance(environment, Outcome):
            return environment
        began = time.monotonic()
        outcome = await environment.invoke(invocation, timeout_s)
        self._durations.add(time.monotonic() - began)
        if _same_process(environment.function, self.configuration):
            self._pool.give_back(environment)
        else:
            self._pool.end(environment)
        return outcome

    async def _launch(self, on_end: Callable[[Environment], None]) -> Environment:
        scratch = Path(self._service.state) / "tmp" / "lambda"
        environment = Environment(self.configuration, self.arn, self.log, scratch, on_end)
        variables = function_variables(
            self._service, self.configuration, self.service_url, environment.scratch.resolve()
        )
        await environment.start({**variables, FOLDER_VARIABLE: str(self.strikes.folder)})
        return environment


def _same_process(old: FunctionConfiguration, new: FunctionConfiguration) -> bool:
    """Whether an environment that was started with one configuration serves the other as well."""
    return all(getattr(old, field) == getattr(new, field) for field in IN_PROCESS)
