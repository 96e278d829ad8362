"""One child process: launched, waited for, stopped, and gone when its parent is gone."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.programs.identity import OWN, Identity
from pgevents.errors import PgEventsError

POLL = 0.02
"""Seconds between two looks."""
MAX_LOG_BYTES = 20_000_000
"""A log that has grown beyond this begins anew; its last so many bytes are kept in FILE.1."""


class ProgramFailed(PgEventsError):
    """A program did not come up. The message names it, its log and the last thing that it said there."""


class Program:
    """A command that runs in its own session, so that a Ctrl-C in the terminal reaches only its parent.

    `stop_signals` are sent in order, each with `grace` seconds to work; SIGKILL to the whole session follows.
    `death_signal` is what the kernel sends should the parent die (Linux); None lets the child live on.
    Subclasses say in `is_ready` when it has come up.
    """

    start_seconds = 60.0
    """Longest wait until it is ready."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        identity: Identity = OWN,
        stop_signals: Sequence[signal.Signals] = (signal.SIGTERM,),
        death_signal: signal.Signals | None = signal.SIGTERM,
        grace: float = 10.0,
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._environment = environment
        self._identity = identity
        self._stop_signals = stop_signals
        self._death_signal = death_signal
        self._grace = grace
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """The process id; -1 before the first launch."""
        return self._child.pid if self._child else -1

    @property
    def exit_code(self) -> int | None:
        """None while it runs, and before it was launched. Negative: the signal that ended it."""
        return self._child.poll() if self._child else None

    @property
    def runs(self) -> bool:
        """Launched and not ended."""
        return self._child is not None and self._child.poll() is None

    def launch(self) -> None:
        """Starts the command; does not wait for anything."""
        # The kernel ties the death signal to the thread that launches: one that ends early would take its
        # children along. Only the main thread is sure to live as long as the process.
        lasting = threading.current_thread() is threading.main_thread()
        command = self._identity.command(self._command, (lasting and self._death_signal) or 0)
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )

    def start(self) -> None:
        """Launches it and waits until it is ready. Raises ProgramFailed."""
        self.launch()
        self.wait_until_ready()

    def is_ready(self) -> bool:
        """Whether it has come up."""
        return self.runs

    def wait_until_ready(self) -> None:
        """Raises ProgramFailed when it ends before it is ready, or is late and then killed."""
        deadline = time.monotonic() + self.start_seconds
        while not self.is_ready():
            if not self.runs:
                raise ProgramFailed(self._told(f"ended with {self.exit_code}"))
            if time.monotonic() > deadline:
                self.kill()
                raise ProgramFailed(self._told(f"was not ready after {self.start_seconds:g} s"))
            time.sleep(POLL)

    def signal(self, number: signal.Signals) -> None:
        """Sends one signal; nothing happens when it has ended."""
        if self._child and self._child.poll() is None:
            self._child.send_signal(number)

    def stop(self) -> None:
        """Ends it, gently first, and waits. Nothing happens when it does not run."""
        for number in self._stop_signals:
            self.signal(number)
            if self.wait(self._grace):
                return
        self.kill()

    def kill(self) -> None:
        """Ends it at once, with everything in its session."""
        if self._child and self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()

    def detach(self) -> int:
        """Lets it live on without this process; its process id."""
        if self._child is None:
            return -1
        # Popen warns of a child that nobody waited for. This one is meant to be left alone.
        pid, self._child.returncode = self._child.pid, 0
        return pid

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, after waiting at most so long."""
        if self._child is None:
            return True
        try:
            self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def bound_log(self) -> None:
        """Lets a log that has grown too large begin anew. The program, which appends, goes on in it.

        What it writes during these milliseconds may be lost.
        """
        size = self.log.stat().st_size if self.log.exists() else 0
        if size <= MAX_LOG_BYTES:
            return
        with self.log.open("rb") as log:
            log.seek(size - MAX_LOG_BYTES)
            self.log.with_name(f"{self.log.name}.1").write_bytes(log.read())
        os.truncate(self.log, 0)
        self._log_start = 0

    def said(self) -> str:
        """What it logged since its launch."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def last_words(self) -> str:
        """The last line that it logged since its launch."""
        lines = self.said().splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")

    def _told(self, fate: str) -> str:
        return f"{self.name} {fate}: {self.last_words()} (log: {self.log})"
