"""What a figure depends on besides the code: the machine, the versions, the commit, the day."""

import os
import platform
import subprocess
import time
from pathlib import Path

import msgspec

from local.programs.environment import PROJECT


class Facts(msgspec.Struct, frozen=True):
    """`load` is the machine's load average of the last minute when the bench began: what else it did."""

    date: str
    commit: str
    cores: int
    processor: str
    memory_gb: float
    system: str
    load: float
    versions: dict[str, str]

    def lines(self) -> list[str]:
        """Two lines for people."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return [
            f"{self.cores} cores of {self.processor}, {self.memory_gb:.1f} GB, {self.system}, "
            f"load {self.load:.1f}",
            f"{versions}; commit {self.commit}, {self.date}",
        ]


def facts(**versions: str) -> Facts:
    """Of this machine and this moment, with the versions of what is measured, by name."""
    return Facts(
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        commit=commit(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        processor=_from_proc("cpuinfo", "model name") or platform.processor() or platform.machine(),
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        system=f"{platform.system()} {platform.release()}",
        load=round(os.getloadavg()[0], 1),
        versions={**versions, "Python": platform.python_version()},
    )


def commit() -> str:
    """The commit that this project is at, as git abbreviates it; with a `+` when files differ from it."""
    revision = _git("rev-parse", "--short", "HEAD")
    if not revision:
        return "unknown"
    return revision + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*arguments: str) -> str:
    asked = ["git", "-C", str(PROJECT), *arguments]
    try:
        found = subprocess.run(asked, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return found.stdout.strip()


def _from_proc(file: str, name: str) -> str:
    path = Path("/proc", file)
    if not path.exists():
        return ""
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return " ".join(value.split())
    return ""
