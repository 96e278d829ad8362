from pathlib import Path

import pytest

from ops.commands import demo
from pgevents.errors import InputError


def test_temporary_folder_goes_with_the_demo_unless_it_is_kept() -> None:
    with demo._state_folder(None, keep=False) as folder:
        (folder / "something").touch()
    assert not folder.exists()
    with demo._state_folder(None, keep=True) as kept:
        pass
    kept.rmdir()


def test_chosen_folder_is_made_later_and_stays(tmp_path: Path) -> None:
    chosen = tmp_path / "a state"
    with demo._state_folder(chosen, keep=False) as folder:
        folder.mkdir()
    assert chosen.is_dir()


def test_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    for taken in (tmp_path, tmp_path / "mine"):
        with (
            pytest.raises(InputError, match="is not an empty folder; the demo starts from nothing"),
            demo._state_folder(taken, keep=False),
        ):
            pass
    assert (tmp_path / "mine").exists()
