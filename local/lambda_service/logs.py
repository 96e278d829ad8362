"""A function's log: a file and a bounded tail in memory, with the lines that CloudWatch shows."""

import math
import os
import time
from collections import deque
from pathlib import Path

import msgspec

from local.lambda_service.invocation import LOG_TAIL_BYTES

MAX_FILE_BYTES = 50_000_000
MAX_LINE_BYTES = 262_144
TAIL_LINES = 2_000
NO_BREAK_SPACE = "\u00a0"


class LogLine(msgspec.Struct, frozen=True):
    """One line: its number since the service started (from 1), its time (Unix seconds) and its text."""

    number: int
    at: float
    text: str


class FunctionLog:
    """The log of all execution environments of one function.

    When the file has grown to 50 MB it becomes FILE.1 and a new one is begun.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = path.open("ab")
        self._tail: deque[LogLine] = deque(maxlen=TAIL_LINES)
        self._count = 0

    def write(self, text: str) -> None:
        """Append one line."""
        self._count += 1
        self._tail.append(LogLine(self._count, time.time(), text))
        self._file.write(text.encode() + b"\n")

    def flush(self) -> None:
        """Make what was written readable in the file."""
        self._file.flush()
        if self._file.tell() > MAX_FILE_BYTES:
            self._file.close()
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            self._file = self._path.open("ab")

    def tail(self, lines: int = 100, after: int = 0) -> list[LogLine]:
        """The last so many lines with a number above `after`, oldest first."""
        newer = [line for line in self._tail if line.number > after]
        return newer[-lines:] if lines > 0 else []

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class OutputPipe:
    """Reads what one environment's process prints, line by line, into the function's log.

    A process prints before it posts its response, so whatever belongs to an invocation is in the pipe when
    its response arrives: `drain` then reads it before END is written. `begin` and `end` cut out the part that
    belongs to one invocation.
    """

    def __init__(self, log: FunctionLog) -> None:
        self._log = log
        self.descriptor, self.write_end = os.pipe()
        os.set_blocking(self.descriptor, False)
        self._partial = b""
        self._invocation: deque[bytes] = deque(maxlen=LOG_TAIL_BYTES)

    def begin(self) -> None:
        """What is printed from here on belongs to a new invocation."""
        self._invocation.clear()

    def end(self) -> bytes:
        """The last 4 KB of the invocation's log."""
        return b"".join(self._invocation)[-LOG_TAIL_BYTES:]

    def line(self, text: str) -> None:
        """A line of the service itself."""
        self._log.write(text)
        self._invocation.append(text.encode()[-LOG_TAIL_BYTES:] + b"\n")

    def flush(self) -> None:
        """Make what was written readable in the file."""
        self._log.flush()

    def drain(self) -> bool:
        """Read what is there. False when the process has closed its end."""
        while True:
            try:
                chunk = os.read(self.descriptor, 65_536)
            except BlockingIOError:
                self._log.flush()
                return True
            if not chunk:
                self._finish()
                return False
            self._take(chunk)

    def close(self) -> None:
        """Read whatever was left in the pipe and give the descriptor back."""
        if self.descriptor >= 0:
            self.drain()
            self._finish()
            os.close(self.descriptor)
            self.descriptor = -1

    def _take(self, chunk: bytes) -> None:
        # The runtime client joins the lines of a traceback with carriage returns: one event in CloudWatch.
        *complete, self._partial = (self._partial + chunk.replace(b"\r", b"\n")).split(b"\n")
        for line in complete:
            self.line(line.decode("utf-8", "replace").replace(NO_BREAK_SPACE, " "))
        if len(self._partial) > MAX_LINE_BYTES:
            self._finish()

    def _finish(self) -> None:
        if self._partial:
            self._take(b"\n")
        self._log.flush()


def report(
    request_id: str,
    duration_s: float,
    init_s: float | None,
    memory_mb: int,
    peak_mb: int | None,
    status: str = "",
) -> str:
    """The REPORT line of an invocation. Whole milliseconds are billed, initialisation included."""
    duration_ms, init_ms = duration_s * 1000, (init_s or 0.0) * 1000
    parts = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {duration_ms:.2f} ms",
        f"Billed Duration: {math.ceil(duration_ms + init_ms)} ms",
        f"Memory Size: {memory_mb} MB",
    ]
    if peak_mb is not None:
        parts.append(f"Max Memory Used: {peak_mb} MB")
    if init_s is not None:
        parts.append(f"Init Duration: {init_ms:.2f} ms")
    if status:
        parts.append(f"Status: {status}")
    return "\t".join(parts)


def peak_memory_mb(pid: int) -> int | None:
    """The most memory that a process ever had in use, in MB; None where /proc does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return math.ceil(int(line.split()[1]) / 1024)
    return None
