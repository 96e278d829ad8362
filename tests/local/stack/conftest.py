"""A project of a test's own, and what a test sees of a running stack's processes."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from local.programs.environment import PROJECT

Edit = Callable[[str], str]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of everything that a stack takes from its project, in a folder with a space in its name."""
    copy = tmp_path / "a project"
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "lambdas", copy / "lambdas", ignore=unwanted)
    shutil.copytree(PROJECT / "local" / "databases", copy / "local" / "databases")
    (copy / "local" / "lambda_service").mkdir()
    for lock in PROJECT.glob("local/lambda_service/requirements.*"):
        shutil.copy(lock, copy / "local" / "lambda_service")
    shutil.copy(PROJECT / "pipeline.toml", copy)
    return copy


def processes_of(state: Path) -> dict[int, str]:
    """The processes that have a state folder in their command line or work in it, by id."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            folder = str((entry / "cwd").readlink())
        except OSError:
            continue
        if str(state) in command or folder.startswith(str(state)):
            found[int(entry.name)] = command
    return found
