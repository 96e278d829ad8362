"""Dependency layers: what a lock installs for one Python and one platform, in a folder that never changes."""

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec
from packaging.markers import Marker

from ops.venv import pip
from pgevents.errors import InputError

ENTRY = re.compile(
    r"^(?P<name>[a-z0-9._-]+)(?:\[[^]]*\])?==(?P<version>[^\s;\\]+)(?:\s*;\s*(?P<marker>[^\\\n]+?))?\s*\\\n"
    r"(?P<hashes>(?:\s+--hash=\S+(?:\s*\\)?\n)+)",
    re.MULTILINE,
)
OLDEST_GLIBC = 17


class Target(msgspec.Struct, frozen=True):
    """What a package runs on: a Python such as `3.14`, a machine such as `aarch64`, and the minor version of
    the Linux's glibc 2. Without a glibc it is this interpreter on this machine."""

    python: str
    machine: str
    glibc: int | None = None

    def pip_options(self) -> list[str]:
        """What pip needs to choose wheels for this target."""
        if self.glibc is None:
            return []
        versions = [f"_2_{minor}" for minor in range(self.glibc, OLDEST_GLIBC - 1, -1)] + ["2014"]
        platforms = [f"--platform=manylinux{version}_{self.machine}" for version in versions]
        abis = [f"--abi={abi}" for abi in (f"cp{self.python.replace('.', '')}", "abi3", "none")]
        # Compiled by this interpreter, the modules would be of no use to the other.
        return [f"--python-version={self.python}", "--implementation=cp", *abis, *platforms, "--no-compile"]

    def marker_environment(self) -> dict[str, str]:
        """What a lock's markers are held against: pip would ask this machine, not the target."""
        if self.glibc is None:
            return {}
        return {
            "os_name": "posix",
            "sys_platform": "linux",
            "platform_system": "Linux",
            "platform_machine": self.machine,
            "platform_release": "",
            "platform_version": "",
            "platform_python_implementation": "CPython",
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
        }


HOST = Target(python=f"{sys.version_info.major}.{sys.version_info.minor}", machine=platform.machine())
LAMBDA_ARM = Target(python="3.14", machine="aarch64", glibc=28)
"""Lambda's python3.14 on Graviton: Amazon Linux 2023 has glibc 2.34."""


def default_cache() -> Path:
    """Where layers are kept: in the virtual environment that runs, so that they go with it."""
    return Path(sys.prefix) / "lambda"


def layer(lock: Path, target: Target, cache: Path, left_out: Collection[str] = ()) -> Path:
    """The folder with the packages of a lock, installed if it is not there yet.

    Every package comes as a wheel that has one of the lock's hashes. `left_out` names packages that are not
    installed. Raises InputError when the lock cannot be read or the packages cannot be had.
    """
    requirements = select(lock, target, left_out)
    key = hashlib.sha256(repr((requirements, target)).encode()).hexdigest()[:16]
    folder = cache / f"{lock.parent.name}-{key}"
    if not folder.is_dir():
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with _alone(folder):
                if not folder.is_dir():
                    _install_beside(folder, requirements, target)
        except OSError as error:
            raise InputError(f"{folder}: cannot be made: {error.strerror}; make {cache} writable") from error
    return folder


def select(lock: Path, target: Target, left_out: Collection[str] = ()) -> str:
    """The lines of a lock that a target installs: pinned, hashed, without comments and markers.

    Raises InputError when the lock cannot be read or does not have what is to be left out.
    """
    try:
        entries = list(ENTRY.finditer(lock.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"{lock}: cannot be read: {error.strerror}; run `./pgevents lock`") from error
    if unknown := set(left_out) - {entry["name"] for entry in entries}:
        raise InputError(f"{lock}: {min(unknown)} is to be left out but is not there; correct LEFT_OUT")
    return "".join(_lines(entries, target, left_out))


def _lines(entries: list[re.Match[str]], target: Target, left_out: Collection[str]) -> Iterator[str]:
    environment = target.marker_environment()
    for entry in entries:
        wanted = entry["marker"] is None or Marker(entry["marker"]).evaluate(environment)
        if wanted and entry["name"] not in left_out:
            hashes = " ".join(re.findall(r"--hash=\S+", entry["hashes"]))
            yield f"{entry['name']}=={entry['version']} {hashes}\n"


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the right to make a folder; others wait. The lock ends with the process, however that ends."""
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install_beside(folder: Path, requirements: str, target: Target) -> None:
    """Install next to the folder and move it there whole."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as work:
        made = Path(work, "layer")
        listed = Path(work, "requirements.txt")
        listed.write_text(requirements, encoding="utf-8")
        made.mkdir()
        if requirements:
            _pip_install(listed, made, target, folder.name)
        shutil.rmtree(made / "bin", ignore_errors=True)
        put_in_place(made, folder)


def put_in_place(made: Path, folder: Path) -> None:
    """Give a finished folder its name, unless the name is taken: then somebody else has made the same."""
    try:
        made.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def _pip_install(requirements: Path, into: Path, target: Target, name: str) -> None:
    """Raises InputError with pip's reason."""
    options = ["--require-hashes", "--only-binary=:all:", "--no-deps", "--no-user", "--quiet"]
    done = subprocess.run(
        [
            *(*pip.command(Path(sys.executable)), "install", *options, *target.pip_options()),
            *("--target", str(into), "--requirement", str(requirements)),
        ],
        env=pip.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        why = pip.reason((done.stdout + done.stderr).splitlines())
        raise InputError(f"{name}: its packages cannot be installed: {why}; check the network and call again")


def link_or_copy(source: str, target: str) -> None:
    """A second name for a file where that is possible: it takes no time and no space."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
