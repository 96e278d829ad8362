"""The front of the command line: finds the command in `ops/commands/`, runs it, turns errors into one line.

Exit codes: 0 done, 1 it did not succeed, 2 the input was wrong, 130 interrupted.
"""

import argparse
import difflib
import importlib
import os
import platform
import re
import sys
import tomllib
from pathlib import Path
from typing import NoReturn, Protocol, cast

COMMANDS = Path(__file__).parent / "commands"
PROJECT = Path(__file__).parents[1] / "pyproject.toml"
USAGE = "usage: ./pgevents COMMAND [ARGUMENT ...]\n       ./pgevents --help | --version"
SUMMARY_LINE = re.compile(r'^SUMMARY = "(.*)"$', re.MULTILINE)


class Command(Protocol):
    """A module of `ops/commands/`."""

    SUMMARY: str

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments. A command that takes any others too sets the default `rest` to a list."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it. Returns the exit code."""


def main(arguments: list[str]) -> int:
    """Run the command line `arguments` (without the program's name) and return the exit code."""
    name, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if name in ("--help", "-h", "help"):
        return show(overview())
    if name == "--version":
        return show(version())
    if name not in names():
        return complain(f"there is no command {name!r}: {hint(name)}", 2)
    return call(name, rest)


def call(name: str, arguments: list[str]) -> int:
    """Run one command, imported only now, with every failure that has a name turned into one line."""
    from pgevents.errors import InputError, PgEventsError

    try:
        command = cast(Command, importlib.import_module(f"ops.commands.{module_name(name)}"))
        code = command.run(parse(name, command, arguments))
        sys.stdout.flush()
    except InputError as error:
        return complain(str(error), 2)
    except PgEventsError as error:
        return complain(str(error), 1)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return reader_left()
    except Exception as error:
        if said := database_said(error):
            return complain(said, 1)
        raise
    return code


def show(text: str) -> int:
    """Print what needs nothing of the project."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        return reader_left()
    return 0


def reader_left() -> int:
    """The exit code when nobody reads any more (`| head`)."""
    # What is still buffered must not raise again when Python ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


def database_said(error: Exception) -> str:
    """What to say when a database went away on the way, or refused something; empty for any other error."""
    driver = sys.modules.get("psycopg")
    if driver is None or not isinstance(error, driver.Error):
        return ""
    words = " ".join(str(error).split())
    if isinstance(error, driver.OperationalError):
        return f"the connection to a database was lost: {words}; run it again"
    is_missing = isinstance(error, driver.errors.UndefinedTable | driver.errors.InvalidSchemaName)
    if is_missing and "pgevents" in words:
        return "capture is not installed in a source; ./pgevents doctor says in which"
    return f"a database refused what it was asked: {words}; ./pgevents doctor looks at what must be there"


def complain(message: str, code: int) -> int:
    sys.stderr.write(f"pgevents: {message}\n")
    return code


def hint(name: str) -> str:
    near = difflib.get_close_matches(name, names(), n=1)
    return f"did you mean {near[0]}?" if near else "./pgevents --help lists them"


class Parser(argparse.ArgumentParser):
    """Answers wrong arguments in one line, as every other wrong input is."""

    def error(self, message: str) -> NoReturn:
        from pgevents.errors import InputError

        raise InputError(f"{message}; {self.prog} --help tells more")


def parse(name: str, command: Command, arguments: list[str]) -> argparse.Namespace:
    parser = Parser(f"./pgevents {name}", description=command.SUMMARY, allow_abbrev=False)
    command.arguments(parser)
    args, unknown = parser.parse_known_args(arguments)
    if unknown and "rest" not in args:
        parser.error(f"unknown argument: {' '.join(unknown)}")
    if unknown:
        args.rest = unknown
    return args


def names() -> list[str]:
    """Every command, in alphabetical order."""
    modules = (path.stem for path in COMMANDS.glob("*.py") if not path.stem.startswith("_"))
    return sorted(module.replace("_", "-") for module in modules)


def module_name(name: str) -> str:
    return name.replace("-", "_")


def overview() -> str:
    """The text of --help. Summaries are read, not imported, so it is there before anything is installed."""
    commands = "\n".join(f"  {name:<12} {summary(name)}" for name in names())
    return f"{USAGE}\n\n{commands}\n\n./pgevents COMMAND --help tells more about one."


def summary(name: str) -> str:
    found = SUMMARY_LINE.search((COMMANDS / f"{module_name(name)}.py").read_text(encoding="utf-8"))
    return found[1] if found else ""


def version() -> str:
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    return f"pgevents {project['version']} (Python {platform.python_version()})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
