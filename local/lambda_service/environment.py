"""An execution environment: one process of a function, from its start to its end."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from local.lambda_service import logs
from local.lambda_service.configuration import FunctionConfiguration
from local.lambda_service.invocation import Invocation, Outcome, error_type, exited, timed_out
from local.lambda_service.isolation import LATEST, command
from local.lambda_service.runtime_api import RuntimeApi

PYTHON_VERSION = f"python:{sys.version_info.major}.{sys.version_info.minor}.v{sys.version_info.micro}"


class Environment:
    """One awslambdaric process in a process group of its own.

    Start it in a thread that lives as long as the service: Linux ends the process with the thread that
    started it. `on_end` is called once, when the process is gone for whatever reason.
    """

    def __init__(
        self,
        function: FunctionConfiguration,
        arn: str,
        log: logs.FunctionLog,
        scratch: Path,
        on_end: Callable[["Environment"], None],
    ) -> None:
        self.function = function
        self.name = uuid.uuid4().hex
        self.invocations = 0
        self.busy_with: str | None = None
        self.scratch = scratch / self.name
        self._api = RuntimeApi(arn)
        self._output = logs.OutputPipe(log)
        self._on_end = on_end
        self._process: asyncio.subprocess.Process | None = None
        self._ended: asyncio.Task[None] | None = None
        self._started = 0.0
        self._init_s: float | None = None

    @property
    def pid(self) -> int:
        """The process's id, or 0 before it was started."""
        return self._process.pid if self._process else 0

    @property
    def usable(self) -> bool:
        """Whether the process lives and can take an invocation."""
        return self._process is not None and self._process.returncode is None and not self._api.lost()

    async def start(self, variables: Mapping[str, str]) -> None:
        """Start the process. Raises OSError when this machine cannot."""
        self.scratch.mkdir(parents=True)
        stream = f"{time.strftime('%Y/%m/%d', time.gmtime())}/[{LATEST}]{self.name}"
        self._output.line(f"INIT_START Runtime Version: {PYTHON_VERSION}")
        self._started = time.monotonic()
        try:
            address = await self._api.open()
            self._process = await asyncio.create_subprocess_exec(
                *command(self.function.handler),
                cwd=self.function.package,
                env={**variables, "AWS_LAMBDA_RUNTIME_API": address, "AWS_LAMBDA_LOG_STREAM_NAME": stream},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=self._output.write_end,
                stderr=self._output.write_end,
                start_new_session=True,
            )
        except OSError:
            os.close(self._output.write_end)
            await self._release()
            raise
        os.close(self._output.write_end)
        asyncio.get_running_loop().add_reader(self._output.descriptor, self._readable)
        self._ended = asyncio.create_task(self._watch(self._process))

    async def initialise(self, request_id: str, timeout_s: float, phase: str) -> Outcome | None:
        """Wait until the handler is imported. None, or the outcome that this failure gives an invocation."""
        try:
            failure = await asyncio.wait_for(asyncio.shield(self._api.initialised), timeout_s)
        except TimeoutError:
            failure = timed_out(request_id, timeout_s)
        took = time.monotonic() - self._started
        if failure is None:
            self._init_s = took
            return None
        await self.kill()
        if error_type(failure) == "Runtime.ExitError":
            failure = exited(request_id, self._return_code())
        self._output.line(
            f"INIT_REPORT Init Duration: {took * 1000:.2f} ms\tPhase: {phase}\tStatus: {_status(failure)}"
        )
        if phase == "invoke":
            self._output.line(f"START RequestId: {request_id} Version: {LATEST}")
            return self._reported(request_id, failure, took, None)
        return failure

    async def invoke(self, invocation: Invocation, timeout_s: float) -> Outcome:
        """Run the handler once. A function that takes longer than its time limit is killed."""
        self.busy_with = invocation.request_id
        self.invocations += 1
        self._output.begin()
        self._output.line(f"START RequestId: {invocation.request_id} Version: {LATEST}")
        began = time.monotonic()
        running = self._api.offer(invocation, timeout_s)
        try:
            outcome = await asyncio.wait_for(asyncio.shield(running), timeout_s)
        except TimeoutError:
            outcome = timed_out(invocation.request_id, timeout_s)
        duration = time.monotonic() - began
        peak = logs.peak_memory_mb(self.pid)
        if outcome.fatal:
            await self.kill()
        self.busy_with = None
        return self._reported(invocation.request_id, outcome, duration, peak)

    async def kill(self) -> None:
        """End the process and whatever it started, and wait until it is gone."""
        if self._process and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        if self._ended:
            await asyncio.shield(self._ended)

    def _reported(self, request_id: str, outcome: Outcome, duration: float, peak: int | None) -> Outcome:
        if self._output.descriptor >= 0:
            self._output.drain()
        status = _status(outcome)
        if status == "timeout":
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self._output.line(f"{stamp} {request_id} Task timed out after {duration:.2f} seconds")
        self._output.line(f"END RequestId: {request_id}")
        memory = self.function.memory_mb
        self._output.line(logs.report(request_id, duration, self._init_s, memory, peak, status))
        self._output.flush()
        self._init_s = None
        return msgspec.structs.replace(outcome, log_tail=self._output.end())

    def _readable(self) -> None:
        if not self._output.drain():
            asyncio.get_running_loop().remove_reader(self._output.descriptor)

    def _return_code(self) -> int:
        return (self._process.returncode or 0) if self._process else 0

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        return_code = await process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        asyncio.get_running_loop().remove_reader(self._output.descriptor)
        self._api.process_ended(return_code)
        await self._release()
        self._on_end(self)

    async def _release(self) -> None:
        self._output.close()
        await self._api.close()
        shutil.rmtree(self.scratch, ignore_errors=True)


def _status(outcome: Outcome) -> str:
    """What REPORT says of an outcome: nothing of a response or of an exception in the function's own code."""
    if outcome.error is None:
        return ""
    kind = error_type(outcome)
    if kind == "Sandbox.Timedout":
        return "timeout"
    return f"error\tError Type: {kind}" if kind.startswith(("Runtime.", "Function.")) else ""
