"""Starts a stack, watches it, and stops it: `./pgevents up`."""

import contextlib
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from local.programs import Program, ProgramFailed
from local.stack import leftovers, ports
from local.stack.composition import Stack
from local.stack.state import StateFolder
from ops.endpoints import Endpoints
from pgevents.config import load
from pgevents.errors import InputError

LOOK_SECONDS = 0.2
MOST_RESTARTS = 5
WITHIN_SECONDS = 60.0

Announce = Callable[[Endpoints], None]


class Report:
    """Lines with the time since the start, for the terminal and for the state folder's log."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._log: Path | None = None
        self._start = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    def keep(self, log: Path) -> None:
        """Writes later lines into this file too."""
        self._log = log

    def __call__(self, text: str) -> None:
        print(f"{self.elapsed:7.1f} s  {text}", file=self._out, flush=True)
        if self._log is not None:
            with self._log.open("a") as log:
                log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")


def up(project: Path, path: Path, port: int | None, out: TextIO, announce: Announce) -> None:
    """Runs a project's pipeline until SIGINT, SIGTERM or SIGHUP, then stops it in order.

    `path` is the state folder, `port` as in `ports.choose`. `announce` is told when everything is ready.
    Raises InputError for wrong input, with nothing left behind, ProgramFailed when a part does not come up or
    keeps ending, with the logs left behind, KeyboardInterrupt when it is interrupted before it is ready.
    """
    pipeline = load(project / "pipeline.toml")
    with _signals_interrupt():
        state = StateFolder(path)
        report = Report(out)
        try:
            chosen = ports.choose(port, state.ports(), pipeline.sources)
            stack = Stack(project, pipeline, state, chosen)
            supervisor = Supervisor(stack, state, report)
            try:
                leftovers.wait(state.path)
                chosen.refuse_used()
                state.keep_ports(chosen)
                report.keep(state.log("up"))
                supervisor.start()
            except BaseException:
                supervisor.stop()
                raise
        except BaseException as error:
            if state.is_new:
                state.discard(keep_logs=isinstance(error, ProgramFailed))
            else:
                state.close()
            raise
        try:
            state.publish_endpoints(stack.endpoints())
            announce(stack.endpoints())
            supervisor.watch()
        except KeyboardInterrupt:
            report("stopping")
        finally:
            supervisor.stop()
            state.close()


class Supervisor:
    """Keeps the parts of one stack running."""

    def __init__(self, stack: Stack, state: StateFolder, report: Report) -> None:
        self._stack = stack
        self._state = state
        self._report = report
        self._ended: dict[str, deque[float]] = {}

    def start(self) -> None:
        """Starts everything in order. Raises InputError or ProgramFailed, with some of it still running."""
        self._report(f"preparing {self._state.path}")
        stack = self._stack
        self._launch(stack.aws)
        stack.prepare()
        self._bring_up(*stack.servers())
        stack.make_databases()
        self._bring_up(stack.redshift)
        stack.capture()
        self._report("triggers in " + ", ".join(stack.sources))
        self._wait(stack.aws)
        stack.make_resources()
        self._bring_up(stack.functions, *stack.relays, stack.console)

    def watch(self) -> None:
        """Brings back what ends, and keeps logs bounded.

        Raises ProgramFailed for a part that ends again and again.
        """
        while True:
            for part in self._stack.parts():
                part.bound_log()
                if not part.runs:
                    self._bring_back(part)
            time.sleep(LOOK_SECONDS)

    def stop(self) -> None:
        """Stops everything, the last one started first; cannot be interrupted, and takes a bounded time."""
        for number in INTERRUPTS:
            signal.signal(number, signal.SIG_IGN)
        self._state.withdraw_endpoints()
        running = [part for part in self._stack.parts() if part.runs]
        for part in reversed(running):
            part.stop()
        leftovers.forget(self._state.path)
        if running:
            self._report("everything is stopped")

    def _bring_up(self, *parts: Program) -> None:
        for part in parts:
            self._launch(part)
        for part in parts:
            self._wait(part)

    def _launch(self, part: Program) -> None:
        part.launch()
        leftovers.note(self._state.path, [each.pid for each in self._stack.parts() if each.runs])

    def _wait(self, part: Program) -> None:
        part.wait_until_ready()
        self._report(part.name)

    def _bring_back(self, part: Program) -> None:
        ended = self._ended.setdefault(part.name, deque(maxlen=MOST_RESTARTS))
        if len(ended) == MOST_RESTARTS and time.monotonic() - ended[0] < WITHIN_SECONDS:
            again = f"{part.name} ended again and again, {MOST_RESTARTS + 1} times in {WITHIN_SECONDS:g} s"
            raise ProgramFailed(f"{again}: {part.last_words()} (log: {part.log})")
        ended.append(time.monotonic())
        self._report(
            f"{part.name} ended ({_fate(part)}): starting it again, time {len(ended)} of {MOST_RESTARTS}"
        )
        try:
            self._launch(part)
            self._wait(part)
        except (ProgramFailed, InputError) as error:
            self._report(str(error))


INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Raises KeyboardInterrupt for every signal that asks to stop, and puts the handlers back afterwards."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _fate(part: Program) -> str:
    code = part.exit_code or 0
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
