"""Makes .venv from the locks, or adds to it what a command needs besides. Standard library only.

Everything is downloaded and checked against its hash before an existing .venv is touched, so without a
network it stays as it was. pip is the client, so a machine's own index configuration holds. One set-up at a
time; a second waits.
"""

import contextlib
import errno
import fcntl
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NoReturn

from ops.venv import LOCKS, Stamp, interpreter, is_ready, lock_hash, pip, read_stamp, write_stamp
from ops.venv.progress import Progress

NO_PIP = (
    f"{pip.BASE_PYTHON} comes with neither ensurepip nor pip; "
    "install one (Debian, Ubuntu: apt install python3-venv) and call again"
)


class SetupError(Exception):
    """The set-up cannot go on. The message is one line: what failed, why, and what to do."""


def set_up(root: Path, needed: list[str]) -> None:
    """Bring the locks named in `needed` into .venv. If that fails: one line, and the program ends with 1."""
    progress = Progress()
    try:
        with alone(root / ".venv.setup", progress) as held:
            if not is_ready(root, needed):
                Setup(root, progress, held).install(needed)
    except SetupError as error:
        refuse(progress, str(error))
    except OSError as error:
        refuse(progress, f"cannot set up {root / '.venv'}: {error.strerror}: {error.filename}{advice(error)}")
    except KeyboardInterrupt:
        progress.say("interrupted; the next call begins the set-up anew")
        sys.exit(130)


def refuse(progress: Progress, message: str) -> NoReturn:
    progress.say(message)
    sys.exit(1)


def advice(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "; make it writable, or copy the project to a folder of your own"
    return ""


@contextlib.contextmanager
def alone(folder: Path, progress: Progress) -> Iterator[int]:
    """Hold the set-up's lock, after waiting for it; gives its descriptor.

    Programs started by a set-up inherit the descriptor, so the lock is held until the last of them has
    ended, even when the set-up itself was killed.
    """
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("a") as file:
        while not taken(file):
            progress.step("waiting for another call that sets up .venv")
            time.sleep(0.2)
        yield file.fileno()


def taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Setup:
    """One set-up of `root`/.venv: works in the folder .venv.setup beside it, under the lock `held`."""

    def __init__(self, root: Path, progress: Progress, held: int) -> None:
        self.root, self.progress, self.held = root, progress, held
        self.venv, self.python = root / ".venv", interpreter(root)
        workshop = root / ".venv.setup"
        self.log, self.wheels, self.trash = workshop / "log.txt", workshop / "wheels", workshop / "trash"

    def install(self, needed: list[str]) -> None:
        """Install the locks named in `needed`, on top of what is there when that is whole and current."""
        before = self.stamp()["locks"]
        locks = {name: lock_hash(self.root, name) for name in LOCKS}
        sound = bool(before) and pip.finds_packages(self.python)
        current = sound and before.items() <= locks.items()
        missing = [name for name in needed if not current or name not in before]
        self.log.write_bytes(b"")
        self.progress.say(f"setting up .venv from {' and '.join(LOCKS[name] for name in missing)}")
        if not sound:
            self.make_venv()
        self.download(missing)
        if sound and not current:
            self.make_venv()
        self.unpack()
        self.add_layers()
        installed = (before if current else {}) | {name: locks[name] for name in missing}
        write_stamp(self.root, {"python": os.path.realpath(self.python), "locks": installed})
        self.progress.say(f"set up in {self.progress.seconds():.0f} s")

    def stamp(self) -> Stamp:
        stamp = read_stamp(self.root)
        if stamp is None and self.venv.exists():
            raise SetupError(f"{self.venv} was not made by pgevents; move it away and call again")
        return stamp or {"python": "", "locks": {}}

    def make_venv(self) -> None:
        """Put an empty .venv, stamped as such, in the place of what is there."""
        discard(self.trash)
        if self.venv.exists():
            self.venv.rename(self.trash)
            discard(self.trash)
        self.venv.mkdir()
        write_stamp(self.root, {"python": "", "locks": {}})
        self.progress.step("making .venv")
        make = [pip.BASE_PYTHON, "-m", "venv", str(self.venv)]
        if pip.has_module(pip.BASE_PYTHON, "ensurepip"):
            self.run(make)
        elif pip.has_module(pip.BASE_PYTHON, "pip"):
            self.run([*make, "--without-pip"])
        else:
            raise SetupError(NO_PIP)

    def download(self, names: list[str]) -> None:
        """Fetch every package of the named locks as a wheel (or build it), checked against its hash."""
        discard(self.wheels)
        self.wheels.mkdir()
        if not names:
            return
        total = sum(pip.package_count(self.root / LOCKS[name]) for name in names)
        self.progress.step(f"downloading {total} packages")
        packages: list[str] = []

        def show(line: str) -> None:
            if package := pip.package_of(line):
                packages.append(package)
                self.progress.tick(f"downloading {len(packages)} of {total} packages: {package}")

        options = ["--no-deps", "--require-hashes", "--wheel-dir", str(self.wheels)]
        locks = [option for name in names for option in ("-r", str(self.root / LOCKS[name]))]
        self.run([*pip.command(self.python), "wheel", *options, *locks], show)

    def unpack(self) -> None:
        """Install what was downloaded. From here until the stamp is written .venv is not whole.

        Modules are compiled when they are first imported: to compile all of them takes longer than the rest.
        """
        wheels = sorted(str(wheel) for wheel in self.wheels.glob("*.whl"))
        if wheels:
            write_stamp(self.root, {"python": "", "locks": {}})
            self.progress.step(f"installing {len(wheels)} packages")
            options = ["--no-deps", "--no-index", "--no-compile", "--no-user"]
            self.run([*pip.command(self.python), "install", *options, *wheels])
        discard(self.wheels)

    def add_layers(self) -> None:
        """Install what the local Lambdas need: after this no command needs a network any more."""
        if (self.root / "lambda_packages").is_dir():
            self.progress.step("installing the Lambdas' own packages")
            self.run([str(self.python), "-m", "lambda_packages"], paths=(self.root, self.root / "lambdas" / "core"))

    def run(
        self,
        command: list[str],
        show: Callable[[str], None] = lambda line: None,
        paths: tuple[Path, ...] = (),
    ) -> None:
        """Run `command`, its output to the log and line by line to `show`; `paths` is what it may import.

        :raises SetupError: it ended with another code than 0.
        """
        output: list[str] = []
        with self.log.open("a", encoding="utf-8") as log, self.started(command, paths) as program:
            for line in self.lines(program.stdout):
                log.write(line + "\n")
                output.append(line)
                show(line)
        if program.returncode:
            raise SetupError(f"{self.progress.text} failed: {pip.reason(output)}; the full log is {self.log}")

    @contextlib.contextmanager
    def started(self, command: list[str], paths: tuple[Path, ...]) -> Iterator[subprocess.Popen[bytes]]:
        imports = {"PYTHONPATH": os.pathsep.join(map(str, paths))} if paths else {}
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=pip.environment() | imports,
            pass_fds=(self.held,),
        ) as program:
            try:
                yield program
            except BaseException:
                program.terminate()
                raise

    def lines(self, stream: IO[bytes] | None) -> Iterator[str]:
        """The stream's lines as they come, with a tick of the progress several times a second."""
        rest = b""
        while stream:
            if select.select([stream], [], [], 0.2)[0]:
                chunk = os.read(stream.fileno(), 65536)
                if not chunk:
                    break
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in whole)
            self.progress.tick()
        if rest:
            yield rest.decode(errors="replace")


def discard(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
