"""Strikes to order: what happens to a function's process at the boundary of one of its steps.

Nothing of this is in what ships to AWS: a step is a function of the package, wrapped from outside by the
process's bootstrap (striking.py).
"""

import shutil
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

FOLDER_VARIABLE = "LOCAL_STRIKES"

Action = Literal["kill", "stop", "raise", "sleep", "abandon", "clock"]


class Strike(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What strikes before or after the calls `nth` to `nth + count - 1` of `target`, in whichever processes.

    target: `module:function` or `module:Class.method`, where the code that calls it looks it up
    kill    the process kills itself with SIGKILL
    stop    it stops itself with SIGSTOP; SIGCONT to its `pid` lets it go on
    raise   the call raises `error`, given as `module:Class`
    sleep   the call takes `seconds` longer
    abandon the process dies, but its connections stay open for `seconds`, with nobody behind them
    clock   the process's clock is `seconds` ahead (behind, if negative) from then on
    """

    target: Annotated[str, Meta(pattern=r"^[\w.]+:[\w.]+$")]
    action: Action
    when: Literal["before", "after"] = "before"
    nth: Annotated[int, Meta(ge=1)] = 1
    count: Annotated[int, Meta(ge=1)] = 1
    seconds: float = 1.0
    error: Annotated[str, Meta(pattern=r"^[\w.]+:\w+$")] = "builtins:RuntimeError"


class Struck(msgspec.Struct, frozen=True):
    """One strike: the process that it struck and when (Unix seconds)."""

    pid: int
    at: float


class StrikeReport(msgspec.Struct, frozen=True):
    """A strike, how often its target was called, what it struck, and why it cannot be armed, if so."""

    strike: Strike
    calls: int
    struck: list[Struck]
    error: str = ""


class Strikes:
    """The strikes of one function, in a folder that its processes look at before each invocation."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._orders: dict[int, Strike] = {}
        self._number = 0
        shutil.rmtree(folder, ignore_errors=True)

    def add(self, strike: Strike) -> None:
        """From the next invocation on this strikes too."""
        self._number += 1
        self._orders[self._number] = strike
        self._write()

    def clear(self) -> None:
        """No more strikes."""
        if self._orders:
            self._orders.clear()
            self._write()

    def reports(self) -> list[StrikeReport]:
        """The strikes that were ordered, oldest first."""
        return [self._report(number, strike) for number, strike in self._orders.items()]

    def _report(self, number: int, strike: Strike) -> StrikeReport:
        struck = [msgspec.json.decode(line, type=Struck) for line in self._lines(f"{number}.struck")]
        errors = self._lines(f"{number}.error")
        error = errors[0].decode() if errors else ""
        return StrikeReport(strike, len(self._lines(f"{number}.calls")), struck, error)

    def _lines(self, name: str) -> list[bytes]:
        try:
            return (self.folder / name).read_bytes().splitlines()
        except FileNotFoundError:
            return []

    def _write(self) -> None:
        """Whole or not at all: a process may look at any moment."""
        self.folder.mkdir(parents=True, exist_ok=True)
        orders = [
            {"number": number, **msgspec.to_builtins(strike)} for number, strike in self._orders.items()
        ]
        unfinished = self.folder / "orders.json.new"
        unfinished.write_bytes(msgspec.json.encode(orders))
        unfinished.replace(self.folder / "orders.json")
