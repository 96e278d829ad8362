"""Runs inside an execution environment: strikes at the boundaries of steps, as strikes.py ordered it.

The folder of a function's strikes holds `orders.json`, and of each order by its number: `N.calls`, a byte for
each call of its target; `N.struck`, a JSON line for each strike, written before it strikes; `N.error`, why it
cannot be armed. Files, since a process that kills itself can tell nobody anything afterwards.

Loaded by bootstrap.py beside a package that it knows nothing of: the standard library only.
"""
# ruff: noqa: PTH116, PTH118, PTH123

import datetime
import functools
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

Order = dict[str, Any]
Handler = Callable[[Any, Any], Any]


class Striking:
    """The strikes of one process."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._seen: tuple[int, int] | None = None
        self._replaced: list[tuple[Any, str, Any]] = []

    def look(self) -> None:
        """Arms what was ordered since the last look. At every invocation, so it costs one stat."""
        try:
            found = os.stat(self._path("orders.json"))
        except FileNotFoundError:
            return
        version = (found.st_mtime_ns, found.st_ino)
        if version != self._seen:
            self._seen = version
            with open(self._path("orders.json"), "rb") as file:
                self._arm(json.load(file))

    def _arm(self, orders: list[Order]) -> None:
        for owner, name, original in reversed(self._replaced):
            setattr(owner, name, original)
        self._replaced.clear()
        for order in orders:
            try:
                self._wrap(order)
            except (ImportError, AttributeError) as error:
                # A refactoring has moved it: whoever ordered it has to hear of that.
                self._append(f"{order['number']}.error", f"{order['target']}: {error}")

    def _wrap(self, order: Order) -> None:
        module, path = order["target"].split(":")
        owner: Any = importlib.import_module(module)
        *outer, name = path.split(".")
        for part in outer:
            owner = getattr(owner, part)
        original = owner.__dict__[name] if isinstance(owner, type) and name in owner.__dict__ else None
        function = getattr(owner, name)
        if not callable(function):
            raise AttributeError(f"{name} cannot be called")

        @functools.wraps(function)
        def struck(*arguments: Any, **named: Any) -> Any:
            due = self._is_due(order)
            if due and order["when"] == "before":
                self._strike(order)
            result = function(*arguments, **named)
            if due and order["when"] == "after":
                self._strike(order)
            return result

        setattr(owner, name, staticmethod(struck) if isinstance(original, staticmethod) else struck)
        self._replaced.append((owner, name, original or function))

    def _is_due(self, order: Order) -> bool:
        calls = self._append(f"{order['number']}.calls", "")
        return int(order["nth"]) <= calls < int(order["nth"]) + int(order["count"])

    def _strike(self, order: Order) -> None:
        self._append(f"{order['number']}.struck", json.dumps({"pid": os.getpid(), "at": time.time()}))
        ACTIONS[order["action"]](order)

    def _append(self, name: str, text: str) -> int:
        """Appends a line; the lines that there are then."""
        with open(self._path(name), "ab+", buffering=0) as file:
            file.write(text.encode() + b"\n")
            file.seek(0)
            return file.read().count(b"\n")

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)


def kill(order: Order) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stop(order: Order) -> None:
    """Freezes this process; somebody else may let it go on."""
    os.kill(os.getpid(), signal.SIGSTOP)


def fail(order: Order) -> None:
    module, name = order["error"].split(":")
    raise getattr(importlib.import_module(module), name)("struck")


def sleep(order: Order) -> None:
    time.sleep(order["seconds"])


def abandon(order: Order) -> None:
    """This process dies, and its connections stay open for a while with nobody behind them."""
    ready, announce = os.pipe()
    if os.fork() == 0:
        # Out of the process group, which the service kills as soon as this process's end is known.
        os.setsid()
        for stream in (0, 1, 2):
            os.close(stream)
        os.write(announce, b".")
        time.sleep(order["seconds"])
        os._exit(0)
    os.read(ready, 1)
    kill(order)


def step_clock(order: Order) -> None:
    """The wall clock of this process is another one from here on, for everybody who asks Python."""
    step = datetime.timedelta(seconds=order["seconds"])
    true_time, true_datetime = time.time, datetime.datetime

    def now(cls: Any, tz: Any = None) -> datetime.datetime:
        return true_datetime.now(tz) + step

    class Same(type):
        """What was made with the true class is still one of this."""

        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, true_datetime)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, true_datetime)

    stepped = Same("datetime", (true_datetime,), {"now": classmethod(now)})
    time.time = lambda: true_time() + order["seconds"]
    for module in list(sys.modules.values()):
        if module is not datetime and getattr(module, "datetime", None) is true_datetime:
            module.datetime = stepped  # type: ignore[attr-defined]


ACTIONS: dict[str, Callable[[Order], None]] = {
    "kill": kill,
    "stop": stop,
    "raise": fail,
    "sleep": sleep,
    "abandon": abandon,
    "clock": step_clock,
}


def struck_handler(handler: Handler, folder: str) -> Handler:
    """The handler, with a look at the orders before every invocation."""
    striking = Striking(folder)

    @functools.wraps(handler)
    def handle(event: Any, context: Any) -> Any:
        striking.look()
        return handler(event, context)

    return handle
