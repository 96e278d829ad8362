"""Wrong input: one clear line, exit code 2, nothing half done."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local.programs.environment import environment
from local.stack.ports import DEFAULT_BASE

from .conftest import processes_of


def start(project: Path, state: Path, *options: str) -> tuple[int, str]:
    """The exit code and stderr of a supervisor that is not meant to come up."""
    command = [sys.executable, "-m", "local.stack", "--project", project, "--state", state, *options]
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    return ran.returncode, ran.stderr


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


def assert_refused(project: Path, state: Path, words: str, *options: str) -> None:
    """Refused in one line that has these words, with nothing left behind or running."""
    code, message = start(project, state, *options)
    assert words in message
    assert message.startswith("pgevents: ")
    assert message.count("\n") == 1
    assert code == 2
    assert not state.exists()
    assert processes_of(state) == {}


def test_a_missing_pipeline_is_refused(tmp_path: Path) -> None:
    assert_refused(tmp_path, tmp_path / "state", "pipeline.toml: cannot be read")


def test_a_port_in_use_is_refused_before_anything_starts(project: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        base = taken.getsockname()[1]
        words = f"lambda: port {base} is taken (Address already in use); choose others with --port"
        assert_refused(project, tmp_path / "state", words, "--port", str(base))


def test_a_captured_table_that_does_not_exist_is_refused(project: Path, tmp_path: Path) -> None:
    edit(project / "local" / "databases" / "accounts.sql", lambda text: "create table public.other (i int);")
    words = "table public.account does not exist in accounts"
    assert_refused(project, tmp_path / "state", words, "--port", "0")


def test_a_transform_that_does_not_import_is_refused(project: Path, tmp_path: Path) -> None:
    (project / "lambdas" / "transform" / "transforms" / "broken.py").write_text(
        "import nowhere_to_be_found\n"
    )
    words = "transforms/broken.py:1: ModuleNotFoundError: No module named 'nowhere_to_be_found'"
    assert_refused(project, tmp_path / "state", words, "--port", "0")


@pytest.mark.parametrize("marker", ["0", "2"])
def test_a_state_folder_of_another_version_is_left_as_it_is(
    project: Path, tmp_path: Path, marker: str
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "format").write_text(marker)
    code, message = start(project, state)
    assert code == 2
    assert f"has the state format '{marker}', this is '1'" in message
    assert [path.name for path in state.iterdir()] == ["format"]
    assert str(DEFAULT_BASE) not in message
