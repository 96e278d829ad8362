"""What processes have used of the machine's processors."""

import os
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
# In /proc/PID/stat, behind the command's name: the parent; the ticks of the process, and of its children that
# have ended.
_PARENT, _USED = 1, slice(11, 15)


def used(pid: int) -> float:
    """A process's seconds on a processor, to the nanosecond where the kernel tells."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def used_by(roots: Collection[int]) -> float:
    """The seconds of processes and all that they have started, ended ones included, to a hundredth."""
    seconds: dict[int, float] = {}
    children: dict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (fields := _stat(folder)):
            seconds[int(folder.name)] = sum(map(int, fields[_USED])) / _TICKS
            children[int(fields[_PARENT])].append(int(folder.name))
    total, left = 0.0, list(roots)
    while left:
        pid = left.pop()
        total += seconds.get(pid, 0.0)
        left += children[pid]
    return total


def _stat(folder: Path) -> list[str]:
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
