"""`./pgevents test`: all that must hold before a change goes in. Static checks first, then the tests."""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

SUMMARY = "lint, type-check and test the project; with arguments: pytest alone, with these"
REQUIREMENTS = "dev"

ROOT = Path(__file__).parents[2]
SHIPPED = ("lambdas", "db_triggers", "lambda_packages", "ops", "local", "demo", "bench", "infra", "app.py")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "./pgevents test [PYTEST ARGUMENT ...]"
    parser.set_defaults(rest=[])


def run(args: argparse.Namespace) -> int:
    import pytest

    if args.rest:
        return int(pytest.main(args.rest))
    os.chdir(ROOT)
    failed = [name for name, command in checks() if not passes(name, command)]
    print("== pytest", flush=True)
    code = int(pytest.main([], plugins=[FailedChecks(failed)]))
    return code or (1 if failed else 0)


def checks() -> Iterator[tuple[str, list[str]]]:
    """Name and command of every static check, to be run in the project's root."""
    python = [sys.executable, "-m"]
    lint_imports = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    yield "ruff check", [*python, "ruff", "check", "--quiet", "--output-format=concise", "."]
    yield "ruff format", [*python, "ruff", "format", "--check", "--quiet", "."]
    yield "mypy", [*python, "mypy", "--no-error-summary", *(path for path in SHIPPED if Path(path).exists())]
    yield "import-linter", [sys.executable, "-c", lint_imports]
    if any(Path("db_triggers").rglob("*.sql")):
        yield "sqlfluff", [*python, "sqlfluff", "lint", "--disable-progress-bar", "db_triggers"]


def passes(name: str, command: list[str]) -> bool:
    """Run a check and say how it ended; its own output is shown when it found something."""
    print(f"== {name}: ", end="", flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print("ok" if done.returncode == 0 else f"failed\n{done.stdout}", flush=True)
    return done.returncode == 0


class FailedChecks:
    """A pytest plugin that says which static checks failed, above pytest's last line: people look there."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def pytest_terminal_summary(self, terminalreporter: "pytest.TerminalReporter") -> None:
        if self.names:
            terminalreporter.write_line(f"static checks failed: {', '.join(self.names)}", red=True)
