"""The demo as a user runs it: the launcher, from a shell."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from local.programs.environment import PROJECT


@pytest.mark.timeout(300)
def test_the_demo_ends_with_no_differences_and_leaves_nothing_behind(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "HOME": str(tmp_path / "home")}

    command = [PROJECT / "pgevents", "demo"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"compared\s+\d+ rows in replica, archive, warehouse: 0 differences$", done.stdout, re.M)
    assert "commit to applied" in done.stdout
    assert list(tmp_path.glob("pgevents-*")) == []
