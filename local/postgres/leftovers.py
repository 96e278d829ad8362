"""What a server that was killed leaves running for a moment, or lying about."""

import os
import time
from pathlib import Path

PROCESSES = Path("/proc")
LOCK_FILE = "postmaster.pid"


def wait_for_leftovers(data: Path, seconds: float) -> list[int]:
    """Waits until nobody works in a data folder; gives the ids of those that still do afterwards.

    A killed server's backends notice within moments, but one that waits for a program finishes that first.
    Starting beside it could damage the data.
    """
    deadline = time.monotonic() + seconds
    while (left := _working_in(data)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def forget_reused_lock(data: Path) -> None:
    """Removes a lock file whose process id belongs to some other program by now.

    The server itself takes any live process of the same user for its predecessor. After a kill of everything,
    ids come back soon: in a container, on the next start. Call this only when nobody works in the folder.
    """
    lock = data / LOCK_FILE
    try:
        pid = int(lock.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return
    if PROCESSES.is_dir() and (PROCESSES / str(pid)).exists():
        lock.unlink(missing_ok=True)


def _working_in(data: Path) -> list[int]:
    """The servers and backends whose current folder it is."""
    if not PROCESSES.is_dir() or not data.exists():
        return []
    wanted = data.stat()
    found = []
    for entry in os.scandir(PROCESSES):
        if not entry.name.isdigit():
            continue
        try:
            current = Path(entry.path, "cwd").stat()
            command = Path(entry.path, "comm").read_text().strip()
        except OSError:
            continue
        if command == "postgres" and (current.st_dev, current.st_ino) == (wanted.st_dev, wanted.st_ino):
            found.append(int(entry.name))
    return found
