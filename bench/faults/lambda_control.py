"""The Lambda service's control API, for one function."""

import contextlib
import json
import os
import signal
import time
import urllib.error
import urllib.request
from typing import Any

import msgspec

from local.lambda_service.control_api import EnvironmentReport
from local.lambda_service.faults import Fault
from local.lambda_service.strikes import Strike, StrikeReport

_SECONDS = 5.0


class BoundaryMoved(Exception):
    """A strike was ordered at a function that the code does not have: see boundaries.py."""


class LambdaControl:
    """One function of a running Lambda service, from outside."""

    def __init__(self, url: str, function: str) -> None:
        self._service = f"{url}/_pgevents"
        self._function = f"{self._service}/functions/{function}"
        self._invocations = f"{url}/2015-03-31/functions/{function}/invocations"
        self._name = function

    def strike(self, strike: Strike) -> None:
        """Orders a strike from the next invocation on."""
        self._ask("POST", f"{self._function}/strikes", strike)

    def strikes(self) -> list[StrikeReport]:
        """The strikes that were ordered. Raises BoundaryMoved when one cannot be armed."""
        reports = msgspec.json.decode(self._ask("GET", f"{self._function}/strikes"), type=list[StrikeReport])
        for report in reports:
            if report.error:
                raise BoundaryMoved(report.error)
        return reports

    def struck(self) -> int:
        """How often the ordered strikes struck."""
        return sum(len(report.struck) for report in self.strikes())

    def fault(self, fault: Fault) -> None:
        """Orders a fault of the queue of events, or of the Invoke API."""
        self._ask("POST", f"{self._function}/faults", fault)

    def faults_struck(self) -> int:
        """How often the ordered faults struck."""
        reports: list[dict[str, Any]] = json.loads(self._ask("GET", f"{self._function}/faults"))
        return sum(int(report["struck"]) for report in reports)

    def configure(self, **changes: object) -> None:
        """Changes fields of the function's configuration."""
        self._ask("PATCH", f"{self._function}/configuration", changes)

    def configuration(self) -> dict[str, Any]:
        """The function's configuration."""
        found: dict[str, Any] = json.loads(self._ask("GET", f"{self._function}/configuration"))
        return found

    def statistics(self) -> dict[str, Any]:
        """The function's figures."""
        found: dict[str, Any] = json.loads(self._ask("GET", f"{self._service}/stats"))[self._name]
        return found

    def counts(self, name: str) -> int:
        """One of the function's counts."""
        return int(self.statistics()["counts"][name])

    def clear(self) -> None:
        """No more strikes and faults, and none of the processes that a strike has left changed."""
        changed = {
            struck.pid
            for report in self.strikes()
            if report.strike.action in ("clock", "stop")
            for struck in report.struck
        }
        for process in self.processes():
            if process.pid in changed:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
        self._ask("DELETE", f"{self._function}/strikes")
        self._ask("DELETE", f"{self._function}/faults")

    def processes(self) -> list[EnvironmentReport]:
        """The processes of the function."""
        reports = msgspec.json.decode(
            self._ask("GET", f"{self._service}/environments"), type=list[EnvironmentReport]
        )
        return [report for report in reports if report.function == self._name and report.pid]

    def signal(self, number: signal.Signals) -> int:
        """Sends a signal to every process of the function that is at work; how many there were."""
        reached = 0
        for process in self.processes():
            if process.busy_with:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, number)
                    reached += 1
        return reached

    def invoke(self, event: object) -> None:
        """Queues an asynchronous event."""
        self._ask("POST", self._invocations, event, {"X-Amz-Invocation-Type": "Event"})

    def log(self, lines: int) -> list[str]:
        """The last lines of the function's log."""
        found = json.loads(self._ask("GET", f"{self._function}/log?lines={lines}"))["lines"]
        return [f"{time.strftime('%H:%M:%S', time.gmtime(line['at']))} {line['text']}" for line in found]

    def _ask(
        self, method: str, url: str, body: object = None, headers: dict[str, str] | None = None
    ) -> bytes:
        encoded = None if body is None else msgspec.json.encode(body)
        request = urllib.request.Request(url, encoded, headers or {}, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as reply:  # noqa: S310
                answer: bytes = reply.read()
        except urllib.error.HTTPError as error:
            raise ValueError(f"{method} {url}: {error.read().decode(errors='replace')}") from error
        return answer
