"""pip as the set-up uses it: with the machine's index settings, without those that would lead it astray."""

import os
import re
import subprocess
import sys
from pathlib import Path

# Settings that would put packages elsewhere, or hold them against other versions than the lock's.
FOREIGN = ("TARGET", "PREFIX", "ROOT", "USER", "CONSTRAINT", "REQUIREMENT", "DRY_RUN", "QUIET")
SETTINGS = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_PROGRESS_BAR": "off"}
# The interpreter behind a virtual environment: the one that calls may live in the .venv that is made anew.
BASE_PYTHON = getattr(sys, "_base_executable", "") or sys.executable
NO_ANSWER = re.compile(r"Retrying \(|NewConnectionError|NameResolutionError|ConnectTimeout")


def command(python: Path) -> list[str]:
    """The pip of the virtual environment of `python`, or the outer one working on it."""
    if has_module(python, "pip"):
        return [str(python), "-m", "pip"]
    return [BASE_PYTHON, "-m", "pip", "--python", str(python)]


def environment() -> dict[str, str]:
    """The caller's environment, index settings included, cleared of what leads pip or Python elsewhere."""
    foreign = {"PYTHONPATH", "PYTHONHOME", "__PYVENV_LAUNCHER__"} | {f"PIP_{name}" for name in FOREIGN}
    if not os.environ.get("HOME"):
        foreign.add("HOME")  # an empty one would make pip keep its cache under /
    return {name: value for name, value in os.environ.items() if name not in foreign} | SETTINGS


def package_count(lock: Path) -> int:
    """How many packages a lock installs here, give or take a marker."""
    entry = re.compile(r"^([A-Za-z0-9._-]+)==(?!.*'win32')", re.MULTILINE)
    return len(set(entry.findall(lock.read_text(encoding="utf-8"))))


def package_of(line: str) -> str | None:
    """The package whose turn it is, when `line` of pip's output says so."""
    found = re.match(r"Collecting ([A-Za-z0-9._-]+)", line)
    return found[1] if found else None


def reason(output: list[str]) -> str:
    """Why a program failed: its last error line, after a guess when the network did not answer."""
    lines = [line.strip() for line in output if line.strip()]
    crashed = "ERROR: Exception:" in lines  # a traceback follows, whose last line names the reason
    errors = [] if crashed else [line for line in lines if line.startswith(("ERROR:", "Error:"))]
    last = (errors or lines or ["it printed nothing"])[-1].removeprefix("ERROR: ")
    silent = any(NO_ANSWER.search(line) for line in lines)
    return f"the package index did not answer (is there a network?): {last}" if silent else last


def has_module(python: str | Path, module: str) -> bool:
    return succeeds([str(python), "-c", f"import {module}"])


def finds_packages(python: Path) -> bool:
    """Whether a virtual environment's interpreter still runs and finds its packages after an upgrade."""
    folder = "sysconfig.get_path('purelib')"
    return succeeds([str(python), "-c", f"import os, sys, sysconfig; sys.exit(not os.path.isdir({folder}))"])


def succeeds(program: list[str]) -> bool:
    try:
        done = subprocess.run(program, env=environment(), capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0
