"""A stack seen from outside: start it, use it, stop it."""

import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from local.programs import Program, ProgramFailed, environment
from local.stack import leftovers
from local.stack.state import holder
from ops.endpoints import Endpoints, read_endpoints
from pgevents.errors import InputError, PgEventsError

START_SECONDS = 180.0
STOP_SECONDS = 90.0


class _Supervisor(Program):
    """`python -m local.stack` as a process of its own. Its log is removed when it has no more to tell."""

    start_seconds = START_SECONDS

    def __init__(
        self, project: Path, state: Path, port: int | None, death_signal: signal.Signals | None
    ) -> None:
        self._state = state
        options = [] if port is None else ["--port", str(port)]
        descriptor, name = tempfile.mkstemp(prefix="pgevents-up-", suffix=".log")
        os.close(descriptor)
        super().__init__(
            "the pipeline",
            [sys.executable, "-m", "local.stack", "--project", project, "--state", state, *options],
            Path(name),
            environment=environment(),
            death_signal=death_signal,
            grace=STOP_SECONDS,
        )

    def is_ready(self) -> bool:
        """Whether this supervisor, and no other, has published its endpoints."""
        return (self._state / "endpoints.json").exists() and holder(self._state) == self.pid

    def start(self) -> None:
        """Raises InputError when the supervisor refuses its input, ProgramFailed otherwise."""
        try:
            super().start()
        except ProgramFailed as error:
            if self.exit_code == 2:
                raise InputError(self.last_words().removeprefix("pgevents: ")) from error
            raise
        finally:
            self.log.unlink()


@contextlib.contextmanager
def running(project: Path, state: Path, port: int | None = 0) -> Iterator[Endpoints]:
    """A project's pipeline for the length of a block; what it keeps stays in the state folder.

    `port` is the first of its ports, 0 for free ones, None for the usual ones. Raises InputError and
    ProgramFailed as `up` does. It ends with this process, whatever ends that.
    """
    supervisor = _Supervisor(project, state.absolute(), port, signal.SIGTERM)
    try:
        supervisor.start()
        yield read_endpoints(state)
    finally:
        supervisor.stop()


def start_detached(project: Path, state: Path, port: int | None) -> int:
    """Starts a project's pipeline that outlives this process; the process id of its supervisor.

    Raises InputError and ProgramFailed as `up` does.
    """
    supervisor = _Supervisor(project, state.absolute(), port, None)
    try:
        supervisor.start()
    except KeyboardInterrupt:
        supervisor.stop()
        raise
    return supervisor.detach()


def stop(state: Path) -> bool:
    """Stops whatever runs with a state folder and waits for it; False when nothing does.

    Raises PgEventsError when it does not stop in time.
    """
    pid = holder(state)
    if pid is None:
        return False
    supervisor = leftovers.process(pid)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while holder(state) == pid or supervisor.lives():
        if time.monotonic() > deadline:
            log = state / "logs" / "up.log"
            raise PgEventsError(f"process {pid} has not stopped after {STOP_SECONDS:g} s (log: {log})")
        time.sleep(0.05)
    return True
