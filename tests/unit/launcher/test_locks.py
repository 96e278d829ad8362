"""The committed locks fit the lists that people write."""

import re
from pathlib import Path

import pytest

from ops.commands.lock import entries, read_list, without
from pgevents.errors import InputError

ROOT = Path(__file__).parents[3]
LISTS = [
    ROOT / "requirements.txt",
    *ROOT.glob("lambdas/*/requirements.txt"),
    *ROOT.glob("local/**/requirements.txt"),
]


def requirements(text: str) -> dict[str, str]:
    """Names and versions (empty when not pinned) of a list or a lock, extras left out."""
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*?\])?(?:==([^\s;\\]+))?", text, re.MULTILINE)
    return {name.lower(): version for name, version in found}


@pytest.mark.parametrize("path", LISTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_lock_holds_all_of_its_list_with_hashes_and_no_address(path: Path) -> None:
    lock = path.with_suffix(".lock").read_text()
    if path.parent == ROOT:
        lock += (ROOT / "requirements-dev.lock").read_text()
    for name, version in requirements(path.read_text()).items():
        assert any(head.startswith(f"{name}=={version}") for head in entries(lock)), name
    assert all("--hash=sha256:" in text for text in entries(lock).values())
    assert "://" not in lock


def test_every_lock_names_the_same_version_of_a_package() -> None:
    root = requirements((ROOT / "requirements.lock").read_text())
    for path in LISTS[1:]:
        for name, version in requirements(path.with_suffix(".lock").read_text()).items():
            assert root.get(name, version) == version, f"{path}: {name}"


def test_what_runs_and_what_builds_are_apart() -> None:
    runs = requirements((ROOT / "requirements.lock").read_text())
    assert "psycopg" in runs
    assert not {"aws-cdk-lib", "pytest", "mypy"} & runs.keys()
    assert not runs.keys() & requirements((ROOT / "requirements-dev.lock").read_text()).keys()


def test_an_entry_stays_in_the_second_lock_when_only_its_marker_differs() -> None:
    everything = "a==1 \\\n    --hash=sha256:aa\n    # via b\nb==2 \\\n    --hash=sha256:bb\n"
    runs = "a==1 ; sys_platform == 'win32' \\\n    --hash=sha256:aa\nb==2 \\\n    --hash=sha256:bb\n"
    assert without(everything, runs) == "a==1 \\\n    --hash=sha256:aa\n    # via b\n"


def test_a_list_without_its_second_heading_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("msgspec==0.22.0\n")
    with pytest.raises(InputError, match="no line begins with '# --- what builds'"):
        read_list(path)
