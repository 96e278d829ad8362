"""The state folder: everything that a stack keeps, and who has it at this moment."""

import fcntl
import os
import shutil
import time
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from local.stack.ports import Ports
from ops.endpoints import Endpoints, state_option
from pgevents.errors import InputError

FORMAT = "1"
"""Raised when an older stack's folder can no longer be read."""

T = TypeVar("T")


class StateFolder:
    """A folder in the one format that this stack reads, locked for as long as it is open.

    The lock goes with the process, however that ends.
    """

    def __init__(self, path: Path) -> None:
        """Makes the folder if there is none.

        Raises InputError, with nothing touched, for a folder of another format, a folder that is something
        else, and one that another stack runs with.
        """
        self.path = path.absolute()
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path} is no folder; choose another --state")
        self.is_new = not self.path.exists() or not any(self.path.iterdir())
        self._lock: IO[str] | None = None
        if not self.is_new:
            _refuse_other_format(self.path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            # First of all: a folder without it is taken for somebody's own files.
            (self.path / "format").write_text(FORMAT + "\n")
            self._lock = _lock(self.path)
        except OSError as error:
            raise InputError(
                f"{self.path} cannot be used: {error.strerror}; choose another --state"
            ) from error
        for name in ("logs", "servers"):
            (self.path / name).mkdir(exist_ok=True)

    def log(self, name: str) -> Path:
        """The log file of a part."""
        return self.path / "logs" / f"{name}.log"

    def server(self, name: str) -> Path:
        """The data folder of a PostgreSQL server."""
        return self.path / "servers" / name

    def ports(self) -> Ports | None:
        """The ports of the last start."""
        return _read(self.path / "ports.json", Ports)

    def keep_ports(self, ports: Ports) -> None:
        """Remembers the ports for the next start."""
        write(self.path / "ports.json", ports)

    def publish_endpoints(self, endpoints: Endpoints) -> None:
        """Tells everybody that all of it is ready, and where."""
        write(self.path / "endpoints.json", endpoints)

    def withdraw_endpoints(self) -> None:
        """Tells everybody that it is not, or no longer."""
        (self.path / "endpoints.json").unlink(missing_ok=True)

    def close(self) -> None:
        """Lets go of the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def discard(self, *, keep_logs: bool = False) -> None:
        """Lets go of the folder and removes it, or all but the logs, which say what went wrong."""
        if keep_logs:
            # Servers that were not finished, and ports that may be why.
            shutil.rmtree(self.path / "servers", ignore_errors=True)
            (self.path / "ports.json").unlink(missing_ok=True)
        else:
            shutil.rmtree(self.path, ignore_errors=True)
        self.close()


def holder(path: Path) -> int | None:
    """The id of the process that runs with a state folder, or None when nobody does."""
    try:
        with (path / "lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _written_id(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise InputError(f"--state {path} cannot be read: {error.strerror}; name a state folder") from error
    return None


def write(path: Path, content: object) -> None:
    """Writes JSON so that a reader sees the old file or the new one, whole."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
    unfinished.replace(path)


def _refuse_other_format(path: Path) -> None:
    marker = path / "format"
    if not marker.is_file():
        raise InputError(f"{path} is no state folder: it holds other files; choose another --state")
    found = marker.read_text(errors="replace").strip()
    if found != FORMAT:
        raise InputError(
            f"{path} has the state format {found!r}, this is {FORMAT!r}; choose another --state, or remove it"
        )


def _lock(path: Path) -> IO[str]:
    lock = (path / "lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise InputError(
            f"{path} is in use by process {_written_id(path)}; "
            f"stop that with ./pgevents down{state_option(path)}"
        ) from error
    # Before the id is written: whoever finds both must be sure that they belong together, and a run that was
    # killed has left its endpoints.
    (path / "endpoints.json").unlink(missing_ok=True)
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _written_id(path: Path) -> int:
    """Whoever takes the lock writes its id a moment later."""
    for _ in range(50):
        text = (path / "lock").read_text().strip()
        if text.isdigit():
            return int(text)
        time.sleep(0.02)
    return -1


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise InputError(f"{path}: {error}; remove this file and start again") from error
