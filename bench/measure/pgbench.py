"""pgbench on one database: transactions of given scripts, from many clients, for some seconds."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from local.postgres import binaries
from local.programs import ProgramFailed

_FIGURES = {
    "transactions": re.compile(r"^number of transactions actually processed: (\d+)", re.M),
    "latency_ms": re.compile(r"^latency average = ([\d.]+) ms", re.M),
    "rate": re.compile(r"^tps = ([\d.]+) ", re.M),
}


class Run(msgspec.Struct, frozen=True):
    """What one run came to: transactions a second without the time to connect, and milliseconds for each."""

    transactions: int
    rate: float
    latency_ms: float


def run(
    dsn: str,
    scripts: Mapping[Path, int],
    *,
    clients: int,
    seconds: float = 0.0,
    runs_each: int = 0,
    rate: float = 0.0,
    threads: int = 1,
    settings: Mapping[str, str] | None = None,
    variables: Mapping[str, int] | None = None,
    program: Path | None = None,
) -> Run:
    """Runs scripts by their weights, statements prepared. `settings` are each session's own.

    For some seconds, or so often that each client has run `runs_each` scripts; as fast as it goes, or so that
    scripts begin at a `rate` a second.
    Raises ProgramFailed when it does not end well, or when any transaction failed.
    """
    options = " ".join(f"-c {name}={value}" for name, value in (settings or {}).items())
    command = [
        str(program or binaries.program("pgbench")),
        "--no-vacuum", "--protocol=prepared", f"--client={clients}", f"--jobs={min(threads, clients)}",
        f"--transactions={runs_each}" if runs_each else f"--time={max(1, round(seconds))}",
        *([f"--rate={rate:g}"] if rate else []),
        *(f"--define={name}={value}" for name, value in (variables or {}).items()),
        *(f"--file={script}@{weight}" for script, weight in scripts.items()),
        dsn,
    ]  # fmt: skip
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PGOPTIONS": options, "LC_ALL": "C"}
    )
    if ended.returncode != 0:
        words = ended.stderr.strip().splitlines() or ["it said nothing"]
        told = [line for line in words if "error" in line.lower()] or words
        raise ProgramFailed(f"pgbench ended with {ended.returncode}: {told[0]}")
    return parsed(ended.stdout)


def parsed(output: str) -> Run:
    """The figures of pgbench's report. Raises ProgramFailed when one is missing."""
    found = {name: pattern.search(output) for name, pattern in _FIGURES.items()}
    missing = [name for name, match in found.items() if match is None]
    if missing:
        raise ProgramFailed(f"pgbench reported no {', '.join(missing)}: {output.strip()[:200]!r}")
    return msgspec.convert({name: match[1] for name, match in found.items() if match}, Run, strict=False)
