"""Whether .venv is ready for a command. On every call's path, so it imports little; `setup` does the work.

.venv holds a stamp, written before it is touched and again when it is whole: which Python it was made with
and the hash of each lock that is installed. An interrupted set-up therefore leaves a stamp without locks,
and is begun anew.
"""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TypedDict

LOCKS = {"run": "requirements.lock", "dev": "requirements-dev.lock"}
DEV_MARK = '\nREQUIREMENTS = "dev"\n'


class Stamp(TypedDict):
    """`python`: real path of the interpreter behind .venv; `locks`: names of LOCKS and their SHA-256."""

    python: str
    locks: dict[str, str]


def python_for(root: Path, command: str) -> str:
    """Path of the interpreter that runs `command`, once .venv holds what it needs.

    Help and unknown commands need the standard library only, so they don't wait for a set-up.
    """
    needed = requirements_of(root, command)
    if not needed:
        return sys.executable
    if not is_ready(root, needed):
        from ops.venv import setup

        setup.set_up(root, needed)
    return str(interpreter(root))


def requirements_of(root: Path, command: str) -> list[str]:
    """Names of the locks that `command` needs; none when there is no such command."""
    module = command.replace("-", "_")
    if not module.isidentifier() or module.startswith("_"):
        return []
    try:
        text = (root / "ops" / "commands" / f"{module}.py").read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return ["run", "dev"] if DEV_MARK in text else ["run"]


def is_ready(root: Path, needed: list[str]) -> bool:
    stamp = read_stamp(root)
    return (
        stamp is not None
        and stamp["python"] == os.path.realpath(interpreter(root))
        and all(stamp["locks"].get(name) == lock_hash(root, name) for name in needed)
    )


def interpreter(root: Path) -> Path:
    return root / ".venv" / "bin" / "python"


def lock_hash(root: Path, name: str) -> str:
    return hashlib.sha256((root / LOCKS[name]).read_bytes()).hexdigest()


def read_stamp(root: Path) -> Stamp | None:
    """The stamp of .venv; None when there is no .venv, or one that somebody else made."""
    try:
        stamp: Stamp = json.loads(stamp_path(root).read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:  # cut short by a power loss
        return {"python": "", "locks": {}}
    return stamp


def write_stamp(root: Path, stamp: Stamp) -> None:
    """Put the stamp in place whole or not at all."""
    beside = stamp_path(root).with_suffix(".new")
    beside.write_text(json.dumps(stamp), encoding="utf-8")
    beside.replace(stamp_path(root))


def stamp_path(root: Path) -> Path:
    return root / ".venv" / "pgevents.json"
