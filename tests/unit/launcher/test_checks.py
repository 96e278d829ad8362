"""Each static check of `./pgevents test` accepts a sound tree and refuses what it is there to refuse."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ops.commands.test import checks

ROOT = Path(__file__).parents[3]
FAULTS = {
    "ruff check": ("ops/fault.py", "import os\n"),
    "ruff format": ("ops/fault.py", "x = {'a' : 1}\n"),
    "mypy": ("ops/fault.py", "x: int = 'one'\n"),
    "import-linter": ("lambdas/core/pgevents/fault.py", "import transform\n\n__all__ = ['transform']\n"),
    "sqlfluff": ("db_triggers/fault.sql", "select   a\n  from t;\n"),
}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's packages, empty, under its own settings; the working folder."""
    for name in ("pyproject.toml", ".sqlfluff"):
        shutil.copy(ROOT / name, tmp_path)
    for pattern in ("*/__init__.py", "lambdas/**/__init__.py", "ops/commands/__init__.py"):
        for path in ROOT.glob(pattern):
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.touch()
    (tmp_path / "db_triggers" / "sound.sql").write_text("select a\nfrom t;\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{tmp_path}/lambdas:{tmp_path}/lambdas/core")
    return tmp_path


def passes(name: str) -> bool:
    return subprocess.run(dict(checks())[name], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("name", FAULTS)
def test_a_check_refuses_its_fault_and_accepts_the_tree_without_it(tree: Path, name: str) -> None:
    path, text = FAULTS[name]
    assert passes(name)
    (tree / path).write_text(text)
    assert not passes(name)


def test_every_check_has_its_fault_here(tree: Path) -> None:
    assert dict(checks()).keys() == FAULTS.keys()


def test_a_failed_check_fails_the_run_and_is_named_above_the_last_line_of_pytest(tree: Path) -> None:
    core = "lambdas/core/pgevents"
    for path in (
        "ops/cli.py",
        "ops/commands/test.py",
        *(f"{core}/{name}.py" for name in ("errors", "identity", "batch")),
    ):
        (tree / path).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / path, tree / path)
    (tree / "tests").mkdir(exist_ok=True)
    (tree / "tests" / "test_sound.py").write_text("def test_it_holds() -> None:\n    assert True\n")
    (tree / "ops" / "fault.py").write_text("x: int = 'one'\nimport os\n")
    failed = subprocess.run([sys.executable, "-m", "ops.cli", "test"], capture_output=True, text=True)
    *_, names, last = failed.stdout.splitlines()
    assert (failed.returncode, names) == (1, "static checks failed: ruff check, ruff format, mypy")
    assert "1 passed" in last
    (tree / "ops" / "fault.py").unlink()
    sound = subprocess.run([sys.executable, "-m", "ops.cli", "test"], capture_output=True, text=True)
    assert sound.returncode == 0, sound.stdout
    assert "static checks" not in sound.stdout
