"""The processes of a stack whose supervisor was killed: they end by themselves; a start waits for them."""

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from local.stack.state import write

GRACE_SECONDS = 15.0
FILE = "processes.json"


class Process(msgspec.Struct, frozen=True):
    """A process, told from a later one of the same id by the moment of its start (clock ticks since boot)."""

    pid: int
    started: str

    def lives(self) -> bool:
        """Whether this very process has not ended."""
        return self.started != "" and _started(self.pid) == self.started


def process(pid: int) -> Process:
    """The process that has this id at this moment."""
    return Process(pid, _started(pid))


def note(state: Path, pids: Iterable[int]) -> None:
    """Writes down what runs at this moment."""
    write(state / FILE, [process(pid) for pid in pids])


def forget(state: Path) -> None:
    """Everything was stopped."""
    (state / FILE).unlink(missing_ok=True)


def wait(state: Path) -> None:
    """Waits for what was noted and never forgotten; kills what does not end in time."""
    try:
        noted = msgspec.json.decode((state / FILE).read_bytes(), type=list[Process])
    except (FileNotFoundError, msgspec.MsgspecError):
        return
    deadline = time.monotonic() + GRACE_SECONDS
    while any(each.lives() for each in noted) and time.monotonic() < deadline:
        time.sleep(0.05)
    for each in noted:
        if each.lives():
            with contextlib.suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGKILL)


def _started(pid: int) -> str:
    """Empty for a process that has ended, and where the system does not tell."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The command's name stands in parentheses and may hold anything; state is the first field behind it.
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]
