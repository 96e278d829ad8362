"""The memory that a session's process has for itself."""

import threading
from pathlib import Path

PROCESSES = Path("/proc")
_LOOK_SECONDS = 0.002


def own_mb(process: int) -> float:
    """What a process has for itself at the moment, without what it shares, in MB."""
    for line in (PROCESSES / str(process) / "status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1_000
    return 0.0


class Peak:
    """The most memory of its own that a process has had during a block, in MB."""

    def __init__(self, process: int) -> None:
        self._process = process
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.most = 0.0

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            self.most = max(self.most, own_mb(self._process))
