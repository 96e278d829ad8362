"""What `./pgevents` does before .venv is there: the set-up, and everything that can go wrong in it."""

import ast
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

from ops.venv import pip
from tests.unit.launcher.conftest import ROOT, Project, hide_modules

OLD_PYTHON = """
import runpy, sys
sys.version_info = (3, 9, 18, "final", 0)
sys.argv = ["./pgevents", "demo"]
runpy.run_path(sys.orig_argv[-1], run_name="__main__")
"""


def test_the_launcher_reads_as_python_3_6() -> None:
    ast.parse((ROOT / "pgevents").read_text(), feature_version=(3, 6))


def test_an_old_python_is_refused_in_one_line_that_names_what_is_needed(project: Project) -> None:
    command = [sys.executable, "-c", OLD_PYTHON, str(project.root / "pgevents")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Python 3.11 or newer is needed, this is 3.9.18" in done.stderr
    assert not (project.root / ".venv").exists()


def test_help_and_unknown_commands_need_no_set_up(project: Project) -> None:
    overview = project.call("--help")
    assert (overview.returncode, overview.stderr) == (0, "")
    assert "tiny-run     say which version of tinyrun is installed" in overview.stdout
    unknown = project.call("tinyrun")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr == "pgevents: there is no command 'tinyrun': did you mean tiny-run?\n"
    assert not (project.root / ".venv").exists()


def test_without_a_network_one_line_says_so_and_the_next_call_succeeds(project: Project) -> None:
    unreachable = {"PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "PIP_RETRIES": "1"}
    failed = project.call("tiny-run", PIP_INDEX_URL="http://127.0.0.1:1/simple", **unreachable)
    last = failed.stderr.splitlines()[-1]
    assert failed.returncode == 1
    assert "is there a network?" in last
    assert "No matching distribution found for tinyrun==1.0" in last
    assert "Traceback" not in failed.stderr
    log = Path(last.rpartition("the full log is ")[2])
    assert "Retrying" in log.read_text()
    assert project.call("tiny-run").stdout == "tinyrun 1.0\n"


def test_a_package_that_was_tampered_with_is_not_installed(project: Project) -> None:
    lock = project.root / "requirements.lock"
    lock.write_text(lock.read_text()[:-3] + "00\n")
    refused = project.call("tiny-run")
    assert refused.returncode == 1
    assert "hash" in refused.stderr.lower()
    assert not list((project.root / ".venv").glob("lib/*/site-packages/tinyrun.py"))


def test_a_set_up_that_was_killed_is_begun_anew(project: Project) -> None:
    killed = project.start("tiny-run")
    while not (project.root / ".venv" / "bin").exists():
        assert killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    done = project.call("tiny-run")
    assert (done.returncode, done.stdout) == (0, "tinyrun 1.0\n")


def test_two_first_calls_at_once_set_up_once(project: Project) -> None:
    programs = [project.start("tiny-run"), project.start("tiny-run")]
    outputs = [program.communicate(timeout=120) for program in programs]
    assert [output for output, _ in outputs] == ["tinyrun 1.0\n"] * 2
    assert sorted("making .venv" in errors for _, errors in outputs) == [False, True]
    assert sum("waiting for another call" in errors for _, errors in outputs) == 1


def test_a_terminal_sees_one_live_line_with_the_seconds(project: Project) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, str(project.root / "pgevents"), "tiny-run"]
    environment = {**project.environment, "TERM": "xterm"}
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment, text=True)
    os.close(theirs)
    shown = read_terminal(ours)
    assert program.communicate(timeout=120)[0] == "tinyrun 1.0\n"
    assert "\r\x1b[2Kpgevents:   making .venv, 0 s" in shown
    assert shown.count("\n") == 2


def read_terminal(descriptor: int) -> str:
    """Everything until the other side is closed, which a terminal tells by an error."""
    shown = b""
    try:
        while chunk := os.read(descriptor, 4096):
            shown += chunk
    except OSError:
        pass
    os.close(descriptor)
    return shown.decode()


def test_a_venv_of_somebody_else_is_left_alone(project: Project) -> None:
    (project.root / ".venv").mkdir()
    (project.root / ".venv" / "precious").touch()
    refused = project.call("tiny-run")
    assert refused.returncode == 1
    assert "was not made by pgevents; move it away" in refused.stderr
    assert (project.root / ".venv" / "precious").exists()


def test_a_folder_that_cannot_be_written_is_named_in_one_line(project: Project) -> None:
    (project.root / ".venv.setup").touch()
    refused = project.call("tiny-run")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert str(project.root / ".venv.setup") in refused.stderr


def test_a_python_without_ensurepip_sets_up_with_the_pip_it_has(project: Project) -> None:
    done = project.call("tiny-run")
    assert (done.returncode, done.stdout) == (0, "tinyrun 1.0\n")
    assert not list((project.root / ".venv").glob("lib/*/site-packages/pip"))


def test_a_python_without_any_pip_is_told_what_to_install(project: Project) -> None:
    hide_modules(project, "ensurepip", "pip")
    refused = project.call("tiny-run")
    assert refused.returncode == 1
    assert "apt install python3-venv" in refused.stderr.splitlines()[-1]


def test_the_reason_of_a_failure_is_the_line_that_names_it() -> None:
    crash = [
        "Collecting a==1",
        "ERROR: Exception:",
        "Traceback (most recent call last):",
        "OSError: disk full",
    ]
    assert pip.reason(crash) == "OSError: disk full"
    refusal = ["WARNING: x", "ERROR: no such package", "see the manual"]
    assert pip.reason(refusal) == "no such package"
    assert pip.reason(["WARNING: Retrying (Retry(total=0", *refusal]).startswith(
        "the package index did not answer"
    )
