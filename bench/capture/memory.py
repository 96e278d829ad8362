"""The memory that a session's process has for itself."""

from contextlib import AbstractContextManager
from pathlib import Path

from bench.measure.watching import Highest, highest

PROCESSES = Path("/proc")
_LOOK_SECONDS = 0.002


def own_mb(process: int) -> float:
    """What a process has for itself at the moment, without what it shares, in MB."""
    for line in (PROCESSES / str(process) / "status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1_000
    return 0.0


def peak_mb(process: int) -> AbstractContextManager[Highest]:
    """The most memory of its own that a process has during a block, in MB."""
    return highest(lambda: own_mb(process), _LOOK_SECONDS)
