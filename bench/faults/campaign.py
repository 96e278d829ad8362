"""Many runs: which ones, on which workers, what is shown of them and what is kept."""

import argparse
import contextlib
import itertools
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from bench.faults.kind import Kind
from bench.faults.kinds import KINDS
from bench.faults.report import publish
from bench.faults.result import Result
from bench.faults.worker import Task
from bench.measure.facts import commit
from local.programs.environment import PROJECT, environment
from pgevents.errors import InputError, PgEventsError

EVIDENCE = PROJECT / ".pgevents-faults"


def command(args: argparse.Namespace) -> int:
    """Runs what the command line asks for. 0: every promise was kept, 1: one was not."""
    chosen = choose(args.kinds)
    if args.list:
        for kind in chosen:
            print(f"{kind.group}: {kind.name}")
        return 0
    if args.publish:
        publish(read_logs(args.publish), added=args.add)
        return 0
    if args.seeds is not None and args.seeds < 1:
        raise InputError(f"--seeds {args.seeds}: expected 1 or more")
    seeds = range(args.seed, args.seed + args.seeds) if args.seeds else None
    if seeds is None and args.minutes is None:
        seeds = range(args.seed, args.seed + 1)
    if args.resume and not args.log:
        raise InputError("--resume: name the file with --log that the earlier runs are in")
    done = read_logs([args.log]) if args.resume and args.log.exists() else []
    kept = (args.evidence or EVIDENCE).absolute()
    results: list[Result] = []
    began, at = time.monotonic(), commit()
    for found in campaign(left(tasks(chosen, args.seed, seeds), done), kept, args.workers, args.minutes):
        result = msgspec.structs.replace(found, commit=at)
        results.append(result)
        if args.log:
            with args.log.open("ab") as log:
                log.write(msgspec.json.encode(result) + b"\n")
        print(msgspec.json.encode(result).decode() if args.json else line(result), flush=True)
    if not args.json:
        print(conclusion(results, time.monotonic() - began))
    return 0 if (results or done) and all(result.outcome == "held" for result in results) else 1


def read_logs(logs: Iterable[Path]) -> list[Result]:
    """The results in these files. Raises InputError when one cannot be read."""
    results = []
    for log in logs:
        try:
            results += [msgspec.json.decode(text, type=Result) for text in log.read_bytes().splitlines()]
        except (OSError, msgspec.MsgspecError) as error:
            raise InputError(f"{log}: {error}; name a file that --log wrote") from error
    return results


def choose(wanted: str | None) -> list[Kind]:
    """The kinds whose names contain one of the comma-separated parts, or are one. Raises InputError."""
    if not wanted:
        return list(KINDS.values())
    parts = [part.strip() for part in wanted.split(",") if part.strip()]
    chosen: dict[str, Kind] = {}
    for part in parts:
        found = [KINDS[part]] if part in KINDS else [kind for name, kind in KINDS.items() if part in name]
        if not found:
            raise InputError(f"--kinds {part}: no kind has that in its name; --list shows them all")
        chosen |= {kind.name: kind for kind in found}
    return list(chosen.values())


def tasks(chosen: list[Kind], first: int, seeds: Iterable[int] | None) -> Iterator[Task]:
    """Every kind with the first seed, then every kind with the next one: a campaign may end at any time."""
    for seed in itertools.count(first) if seeds is None else seeds:
        for kind in chosen:
            yield Task(kind.name, seed)


def left(to_do: Iterable[Task], done: Iterable[Result]) -> Iterator[Task]:
    """The tasks that have no result yet."""
    had = {(result.kind, result.seed) for result in done}
    return (task for task in to_do if (task.kind, task.seed) not in had)


def campaign(
    to_do: Iterator[Task], kept: Path, workers: int, minutes: float | None = None, fewest: int = 0
) -> Iterator[Result]:
    """The results of tasks as they come, from so many stacks side by side.

    After so many minutes no more tasks are begun, unless they are the `fewest` that there must be.
    Raises PgEventsError when a worker ends by itself.
    """
    until, must = time.monotonic() + minutes * 60 if minutes else float("inf"), fewest
    results: queue.SimpleQueue[Result | None | BaseException] = queue.SimpleQueue()
    lock, begun = threading.Lock(), itertools.count(1)

    def next_task() -> Task | None:
        with lock:
            enough = next(begun) > must
            return None if enough and time.monotonic() >= until else next(to_do, None)

    with tempfile.TemporaryDirectory(prefix="pgevents faults ", ignore_cleanup_errors=True) as folder:
        threads = [
            threading.Thread(target=_feed, args=(Path(folder) / str(number), kept, next_task, results.put))
            for number in range(workers)
        ]
        for thread in threads:
            thread.start()
        try:
            working = len(threads)
            while working:
                result = results.get()
                if isinstance(result, BaseException):
                    raise result
                if result is None:
                    working -= 1
                else:
                    yield result
        finally:
            until, must = 0.0, 0
            for thread in threads:
                thread.join()


def _feed(
    folder: Path,
    kept: Path,
    next_task: Callable[[], Task | None],
    put: Callable[[Result | None | BaseException], None],
) -> None:
    """Gives one worker its tasks, one at a time, and hands its results on; None when it has ended."""
    folder.mkdir()
    command = [sys.executable, "-P", "-m", "bench.faults.worker", str(folder), str(kept)]
    log = folder / "worker.log"
    try:
        with (
            log.open("wb") as errors,
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment()
            ) as worker,
        ):
            assert worker.stdin
            assert worker.stdout
            while (task := next_task()) is not None:
                with contextlib.suppress(BrokenPipeError):
                    worker.stdin.write(msgspec.json.encode(task) + b"\n")
                    worker.stdin.flush()
                answer = worker.stdout.readline()
                if not answer:
                    raise PgEventsError(
                        f"a worker ended at {task.kind}: {log.read_text(errors='replace')[-2000:]}"
                    )
                put(msgspec.json.decode(answer, type=Result))
            worker.stdin.close()
        put(None)
    except Exception as error:
        put(error)


def line(result: Result) -> str:
    """A result as one line, and, when it is bad, what was found and how to see it again."""
    seconds = sum(result.phases.values())
    what = f"struck {result.struck}, {result.changes} changes, {seconds:.1f} s"
    head = f"{result.outcome:<15} {result.kind}, seed {result.seed}: {what}"
    if result.outcome == "held":
        return head
    again = f"    again: ./pgevents bench faults --kinds '{result.kind}' --seed {result.seed}"
    where = [f"    kept in {result.evidence}"] if result.evidence else []
    return "\n".join([head, *(f"    {detail}" for detail in result.details[:8]), *where, again])


def conclusion(results: list[Result], seconds: float) -> str:
    """What the runs came to."""
    outcomes = Counter(result.outcome for result in results)
    changes = sum(result.changes for result in results)
    words = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    kinds_run = len({result.kind for result in results})
    return (
        f"{len(results)} runs of {kinds_run} kinds, {changes:,} changes, {seconds / 60:.1f} minutes: {words}"
    )
