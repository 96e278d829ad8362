"""The state folder belongs to one stack of one format, or is left alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.programs.environment import environment
from local.stack.ports import Ports
from local.stack.state import FORMAT, StateFolder, holder
from ops.endpoints import Endpoints, Redshift, read_endpoints
from pgevents.errors import InputError


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_stack_is_told_who_has_the_folder(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    with pytest.raises(InputError, match=rf"in use by process {os.getpid()}; .*./pgevents down"):
        StateFolder(tmp_path / "state")
    with pytest.raises(InputError, match=f"./pgevents down --state {tmp_path / 'state'}$"):
        StateFolder(tmp_path / "state")
    assert holder(tmp_path / "state") == os.getpid()
    state.close()
    assert holder(tmp_path / "state") is None
    StateFolder(tmp_path / "state").close()


def test_a_start_that_failed_leaves_its_logs_and_nothing_that_hinders_the_next(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    state.log("source accounts").write_text("what went wrong")
    (state.server("accounts") / "half made").mkdir(parents=True)
    state.keep_ports(Ports(80, {"lambda": 80}))
    state.discard(keep_logs=True)
    assert contents(tmp_path / "state")["logs/source accounts.log"] == b"what went wrong"
    again = StateFolder(tmp_path / "state")
    assert again.ports() is None
    assert not again.server("accounts").exists()
    again.discard()
    assert not (tmp_path / "state").exists()


def test_a_file_is_no_state_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is no folder; choose another --state"):
        StateFolder(tmp_path / "file")
    with pytest.raises(InputError, match="cannot be read: Not a directory"):
        holder(tmp_path / "file")


HOLD = """
import sys, time
from pathlib import Path
from local.stack.state import StateFolder
state = StateFolder(Path(sys.argv[1]))
print("holds", flush=True)
time.sleep(60)
"""


def test_the_lock_goes_with_a_killed_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "state")]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert holder(tmp_path / "state") == other.pid
        other.kill()
    assert holder(tmp_path / "state") is None
    state = StateFolder(tmp_path / "state")
    assert not state.is_new
    state.close()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"format": "0\n", "lock": ""}, f"state format '0', this is '{FORMAT}'"),
        ({"thesis.txt": "mine"}, "no state folder"),
    ],
)
def test_a_folder_of_something_else_is_refused_untouched(
    tmp_path: Path, files: dict[str, str], words: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    before = contents(tmp_path)
    with pytest.raises(InputError, match=words):
        StateFolder(tmp_path)
    assert contents(tmp_path) == before


def test_a_path_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be used: Not a directory; choose another --state"):
        StateFolder(tmp_path / "file" / "state")


def test_ports_and_endpoints_are_read_back(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    assert state.is_new
    assert state.ports() is None
    state.keep_ports(Ports(0, {"lambda": 1}))
    assert state.ports() == Ports(0, {"lambda": 1})
    endpoints = Endpoints(
        {"a": "postgresql://a"}, "p", Redshift("r"), "l", "c", "e", sinks={"p": "postgresql://p"}
    )
    state.publish_endpoints(endpoints)
    assert read_endpoints(tmp_path) == endpoints
    state.withdraw_endpoints()
    with pytest.raises(InputError, match="nothing runs"):
        read_endpoints(tmp_path)
    state.close()


def test_the_endpoints_of_a_killed_stack_are_gone_before_the_lock_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = StateFolder(tmp_path)
    killed.publish_endpoints(Endpoints({}, "p", Redshift("r"), "l", "c"))
    killed.close()
    own_id, left_when_asked = os.getpid(), []

    def asked_for_id() -> int:
        left_when_asked.append((tmp_path / "endpoints.json").exists())
        return own_id

    monkeypatch.setattr(os, "getpid", asked_for_id)
    StateFolder(tmp_path).close()
    assert left_when_asked == [False]


def test_a_discarded_folder_is_gone(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    state.discard()
    assert list(tmp_path.iterdir()) == []
