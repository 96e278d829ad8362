"""`python -m bench.faults.worker FOLDER EVIDENCE`: a process that attacks an arena of its own.

Reads a task a line from stdin and answers each with a result a line on stdout, as JSON, until stdin ends.
"""

import contextlib
import os
import shutil
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from bench.faults import evidence
from bench.faults.arena import Arena
from bench.faults.kind import DidNotStrike
from bench.faults.kinds import KINDS
from bench.faults.project import TABLES, pipeline
from bench.faults.result import Result
from bench.faults.running import attack
from local.programs import ProgramFailed
from local.stack.project import make_project
from pgevents.errors import PgEventsError

_TRIES = 3
_RUNS_A_STACK = 60


class Task(msgspec.Struct, frozen=True):
    """A kind of fault and a seed."""

    kind: str
    seed: int


class Worker:
    """Runs tasks on a stack that is made anew after a run that broke something, after so many others, and for
    a kind whose sources have another number of shards."""

    def __init__(self, folder: Path, kept: Path) -> None:
        self._folder = folder
        self._kept = kept
        self._projects: dict[int, Path] = {}
        self._arena: Arena | None = None
        self._shards = 1
        self._stacks = 0
        self._runs = 0

    def run(self, task: Task) -> Result:
        """The result of a task. A fault that did not strike is tried again, at other moments."""
        result = self._try(task, 0)
        for number in range(1, _TRIES):
            if result.outcome != "did not strike":
                break
            result = self._try(task, number)
        return result

    def close(self) -> None:
        """Stops the stack and removes it."""
        if self._arena is not None:
            self._arena.stop()
            shutil.rmtree(self._arena.state.path, ignore_errors=True)
            self._arena = None

    def _try(self, task: Task, number: int) -> Result:
        try:
            result = attack(self._ready(KINDS[task.kind].shards), KINDS[task.kind], task.seed, number)
        except DidNotStrike as error:
            result = Result(kind=task.kind, seed=task.seed, outcome="did not strike", details=[str(error)])
        except Exception:
            words = traceback.format_exc()
            result = Result(kind=task.kind, seed=task.seed, outcome="harness failed", details=[words])
        self._runs += 1
        bad = result.outcome in ("broken", "harness failed")
        if bad:
            result = self._keep(result)
        if bad or self._runs >= _RUNS_A_STACK:
            self.close()
        return result

    def _ready(self, shards: int) -> Arena:
        if shards != self._shards:
            self.close()
        if self._arena is None:
            self._shards = shards
            self._arena = self._started()
        return self._arena

    def _started(self) -> Arena:
        """A stack that runs. A machine under load may be too slow for one at first."""
        for _ in range(_TRIES):
            self._stacks += 1
            self._runs = 0
            arena = Arena(self._project(), self._folder / f"state {self._stacks}")
            try:
                arena.start()
                return arena
            except PgEventsError as error:
                print(f"a stack did not start: {error}", file=sys.stderr, flush=True)
                arena.stop()
        raise ProgramFailed(f"no stack could be started in {_TRIES} tries; see {self._folder}")

    def _project(self) -> Path:
        if self._shards not in self._projects:
            folder = self._folder / f"a project of {self._shards}"
            self._projects[self._shards] = make_project(folder, TABLES, pipeline(self._shards))
        return self._projects[self._shards]

    def _keep(self, result: Result) -> Result:
        if self._arena is None:
            return result
        return msgspec.structs.replace(result, evidence=str(evidence.keep(self._arena, result, self._kept)))


@contextlib.contextmanager
def answers() -> Iterator[IO[bytes]]:
    """Where results go; what anything else prints goes to stderr."""
    with os.fdopen(os.dup(1), "wb", buffering=0) as out:
        os.dup2(2, 1)
        yield out


def main(folder: Path, kept: Path) -> None:
    """Works until stdin ends."""
    worker = Worker(folder, kept)
    with answers() as out:
        try:
            for line in sys.stdin.buffer:
                out.write(msgspec.json.encode(worker.run(msgspec.json.decode(line, type=Task))) + b"\n")
        finally:
            worker.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
