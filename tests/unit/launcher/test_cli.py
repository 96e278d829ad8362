"""The front of the command line, in this process: which commands there are, and what becomes of errors."""

import importlib
import os
import subprocess
import sys
from types import ModuleType

import psycopg
import pytest

from ops import cli
from ops.venv import DEV_MARK
from pgevents.errors import InputError, TransientError


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of `./pgevents lock`, to be given another `run`."""
    module = importlib.import_module("ops.commands.lock")
    monkeypatch.setattr(module, "arguments", lambda parser: None)
    return module


def test_every_command_has_what_the_command_line_reads_from_it() -> None:
    for name in cli.names():
        module = importlib.import_module(f"ops.commands.{cli.module_name(name)}")
        assert callable(module.arguments), name
        assert callable(module.run), name
        assert cli.summary(name) == module.SUMMARY, f"{name}: SUMMARY must be one plain string on one line"
        text = (cli.COMMANDS / f"{cli.module_name(name)}.py").read_text()
        assert (DEV_MARK in text) == (getattr(module, "REQUIREMENTS", "run") == "dev"), name


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("pipeline.toml: no such file"), 2, "pgevents: pipeline.toml: no such file\n"),
        (TransientError("accounts: connection lost"), 1, "pgevents: accounts: connection lost\n"),
        (
            psycopg.errors.AdminShutdown("terminating connection"),
            1,
            "pgevents: the connection to a database was lost: terminating connection; run it again\n",
        ),
        (
            psycopg.errors.UndefinedTable('relation "pgevents.batch" does not exist'),
            1,
            "pgevents: capture is not installed in a source; ./pgevents doctor says in which\n",
        ),
        (
            psycopg.errors.InsufficientPrivilege("permission denied for table account"),
            1,
            "pgevents: a database refused what it was asked: permission denied for table account; "
            "./pgevents doctor looks at what must be there\n",
        ),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    error: BaseException,
    code: int,
    line: str,
    command: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(args: object) -> int:
        raise error

    monkeypatch.setattr(command, "run", run)
    assert cli.main(["lock"]) == code
    assert capsys.readouterr() == ("", line)


def test_version_and_help_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("pgevents 0.1.0 (Python 3.")
    assert cli.main([]) == 0
    overview = capsys.readouterr().out
    assert all(f"  {name}" in overview for name in cli.names())


def test_help_whose_reader_has_left_is_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "ops.cli", "--help"],
            cwd=cli.PROJECT.parent,
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["wait", "--timeout", "-1"], "--timeout -1: expected 0 or more seconds"),
        (["bench", "faults", "--seeds", "0"], "--seeds 0: expected 1 or more"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err == f"pgevents: {line}\n"
