"""What `./pgevents` does once .venv is there: start at once, or change .venv when the locks ask for it."""

import json
import subprocess
import sys
import time
from pathlib import Path

from tests.unit.launcher.conftest import Project


def test_a_second_call_says_nothing_and_keeps_the_exit_code(ready_project: Project) -> None:
    done = ready_project.call("tiny-run", "--code", "7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "tinyrun 1.0\n", "")


def test_a_second_call_adds_less_than_a_tenth_of_a_second(ready_project: Project) -> None:
    root = ready_project.root
    venv_python = str(root / ".venv" / "bin" / "python")
    environment = ready_project.environment | {"PYTHONPATH": f"{root}:{root}/lambdas/core"}
    launched = seconds([sys.executable, str(root / "pgevents"), "tiny-run"], environment)
    direct = seconds([venv_python, "-P", "-m", "ops.cli", "tiny-run"], environment)
    assert launched - direct < 0.1


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """The fastest of five runs: what the machine does besides only ever adds."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run(command, env=environment, capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    return min(times)


def test_neither_the_working_folder_nor_pythonpath_shadows_the_project(
    ready_project: Project, tmp_path: Path
) -> None:
    (tmp_path / "ops.py").write_text("raise SystemExit('shadowed')")
    (tmp_path / "tinyrun.py").write_text("VERSION = 'shadowed'")
    command = [sys.executable, str(ready_project.root / "pgevents"), "tiny-run"]
    environment = ready_project.environment | {"PYTHONPATH": str(tmp_path)}
    output = subprocess.check_output(command, cwd=tmp_path, env=environment, text=True)
    assert output == "tinyrun 1.0\n"


def test_wrong_arguments_are_one_line_and_exit_code_2(ready_project: Project) -> None:
    done = ready_project.call("tiny-run", "--cod", "7")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "pgevents: unknown argument: --cod 7; ./pgevents tiny-run --help tells more\n"


def test_tools_are_added_when_a_command_needs_them_and_a_failed_try_harms_nothing(
    ready_project: Project,
) -> None:
    failed = ready_project.call("tiny-dev", PIP_FIND_LINKS="")
    assert failed.returncode == 1
    assert "No matching distribution found for tinydev==1.0" in failed.stderr
    quiet = ready_project.call("tiny-run", PIP_FIND_LINKS="")
    assert (quiet.stdout, quiet.stderr) == ("tinyrun 1.0\n", "")
    added = ready_project.call("tiny-dev")
    assert added.stdout == "tinydev 1.0\n"
    assert "making .venv" not in added.stderr
    again = ready_project.call("tiny-run")
    assert (again.stdout, again.stderr) == ("tinyrun 1.0\n", "")


def test_a_changed_lock_is_installed_and_what_left_it_is_gone(project: Project) -> None:
    project.call("tiny-run")
    project.lock("requirements.lock", "tinyrun", "2.0")
    failed = project.call("tiny-run", PIP_FIND_LINKS="")
    assert failed.returncode == 1
    site_packages = next((project.root / ".venv").glob("lib/*/site-packages"))
    assert (site_packages / "tinyrun-1.0.dist-info").exists()
    assert project.call("tiny-run").stdout == "tinyrun 2.0\n"
    assert not (site_packages / "tinyrun-1.0.dist-info").exists()


def test_a_replaced_interpreter_that_still_fits_is_accepted_without_an_index(ready_project: Project) -> None:
    stamp = ready_project.root / ".venv" / "pgevents.json"
    stamp.write_text(json.dumps(json.loads(stamp.read_text()) | {"python": "/usr/bin/python3.11.0"}))
    done = ready_project.call("tiny-run", PIP_FIND_LINKS="")
    assert done.stdout == "tinyrun 1.0\n"
    assert ready_project.call("tiny-run").stderr == ""


def test_a_folder_that_was_renamed_still_works(project: Project) -> None:
    project.call("tiny-run")
    moved = Project(
        project.root.rename(project.root.with_name("another name")), project.index, project.environment
    )
    done = moved.call("tiny-run", PIP_FIND_LINKS="")
    assert (done.stdout, done.stderr) == ("tinyrun 1.0\n", "")
