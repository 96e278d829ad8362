"""`./pgevents up` and `down` as a person calls them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from local.programs.environment import environment

from .conftest import processes_of


def pgevents(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ops.cli", *arguments]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=90, check=False)


def test_down_says_so_when_nothing_runs(tmp_path: Path) -> None:
    done = pgevents("down", "--state", tmp_path / "nothing")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"nothing runs with the state folder {tmp_path / 'nothing'}\n"
    assert not (tmp_path / "nothing").exists()


def test_a_detached_copy_runs_beside_one_in_the_foreground_until_each_is_stopped(tmp_path: Path) -> None:
    first, second = tmp_path / "first state", tmp_path / "second state"
    command = [sys.executable, "-m", "ops.cli", "up", "--json", "--port", "0", "--state", str(first)]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as foreground:
        detached = pgevents("up", "--detach", "--json", "--port", "0", "--state", second)
        assert foreground.stdout is not None
        assert foreground.stderr is not None
        ours, theirs = json.loads(foreground.stdout.readline()), json.loads(detached.stdout)
        assert ours == json.loads((first / "endpoints.json").read_text())
        assert theirs == json.loads((second / "endpoints.json").read_text())
        assert ours["lambda"] != theirs["lambda"]
        os.kill(foreground.pid, signal.SIGINT)
        assert foreground.wait(60) == 0
        lines = [line.split("s  ", 1)[1] for line in foreground.stderr.read().splitlines()]
        assert lines[-2:] == ["stopping", "everything is stopped"]
    assert processes_of(first) == {}
    assert not (first / "endpoints.json").exists()
    assert processes_of(second) != {}
    stopped = pgevents("down", "--state", second)
    assert stopped.returncode == 0
    assert stopped.stdout.startswith("stopped after ")
    assert processes_of(second) == {}
    assert not (second / "endpoints.json").exists()


def test_an_interrupt_before_it_is_ready_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ops.cli", "up", "--port", "0", "--state", str(tmp_path / "state")]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as foreground:
        assert foreground.stdout is not None
        assert "preparing" in foreground.stdout.readline()
        os.kill(foreground.pid, signal.SIGTERM)
        assert foreground.wait(60) == 130
    assert not (tmp_path / "state").exists()
    assert processes_of(tmp_path / "state") == {}
