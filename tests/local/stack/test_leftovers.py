"""What a killed supervisor left running is waited for, and nobody else's process is touched."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local.stack import leftovers
from local.stack.leftovers import FILE, Process
from local.stack.state import write

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux's /proc")


def test_a_start_waits_for_what_still_ends(tmp_path: Path) -> None:
    with subprocess.Popen(["/bin/sleep", "0.4"]) as ending:
        leftovers.note(tmp_path, [ending.pid])
        started = time.monotonic()
        leftovers.wait(tmp_path)
        assert time.monotonic() - started > 0.2
        assert ending.wait(5) == 0


def test_what_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "GRACE_SECONDS", 0.1)
    with subprocess.Popen(["/bin/sleep", "60"]) as stuck:
        leftovers.note(tmp_path, [stuck.pid])
        leftovers.wait(tmp_path)
        assert stuck.wait(5) == -9


def test_a_later_process_of_the_same_id_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "GRACE_SECONDS", 0.1)
    with subprocess.Popen(["/bin/sleep", "60"]) as stranger:
        write(tmp_path / FILE, [Process(stranger.pid, "1"), Process(os.getpid(), "")])
        leftovers.wait(tmp_path)
        assert stranger.poll() is None
        stranger.kill()


def test_nothing_is_waited_for_after_a_clean_stop(tmp_path: Path) -> None:
    leftovers.note(tmp_path, [os.getpid()])
    leftovers.forget(tmp_path)
    started = time.monotonic()
    leftovers.wait(tmp_path)
    assert time.monotonic() - started < 1
