"""The Lambda service seen by a bench: its functions stopped and set going, and how much memory they need."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from bench.measure.watching import watching
from local.lambda_service.logs import peak_memory_mb
from local.stack.functions import TRANSFORM, WRITER
from pgevents.errors import InputError

FUNCTIONS = (TRANSFORM, WRITER)
_LOOK_SECONDS = 0.05


class Lambdas:
    """Both functions behind a Lambda service's control API."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/_pgevents"

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """While the block runs nothing is invoked: the service refuses events as for a reservation of 0."""
        before = {name: self.configure(name, {"reserved_concurrency": 0}) for name in FUNCTIONS}
        try:
            yield
        finally:
            for name, slots in before.items():
                self.configure(name, {"reserved_concurrency": slots["reserved_concurrency"]})

    def configure(self, function: str, changes: dict[str, object]) -> dict[str, Any]:
        """Changes a function's configuration; returns what it was before."""
        path = f"functions/{function}/configuration"
        before = self._ask("GET", path)
        self._ask("PATCH", path, changes)
        return dict(before)

    def processes(self) -> dict[int, str]:
        """The processes that live: process id → function."""
        return {each["pid"]: each["function"] for each in self._ask("GET", "environments") if each["pid"]}

    def figures(self) -> dict[str, Any]:
        """What the service counted, a function."""
        return dict(self._ask("GET", "stats"))

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        encoded = None if body is None else msgspec.json.encode(body)
        url = f"{self._url}/{path}"
        request = urllib.request.Request(url, encoded, method=method)  # noqa: S310 - a URL of our own making
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return msgspec.json.decode(answer.read())


@contextmanager
def peaks(lambdas: Lambdas) -> Iterator[dict[str, int]]:
    """The most memory that any process of each function has in use during a block, in MB.

    The kernel keeps that figure (VmHWM), so no peak falls between two looks. Raises InputError where there is
    no /proc.
    """
    _refuse_where_unknown()
    found = dict.fromkeys(FUNCTIONS, 0)

    def look() -> None:
        for pid, function in lambdas.processes().items():
            found[function] = max(found[function], peak_memory_mb(pid) or 0)

    with watching(look, _LOOK_SECONDS):
        yield found


def _refuse_where_unknown() -> None:
    if not Path("/proc/self/status").exists():
        raise InputError("memory is read from /proc, which this system lacks; run the bench on Linux")
