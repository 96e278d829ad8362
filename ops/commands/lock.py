"""`./pgevents lock`: from the lists that people write (requirements.txt) to the locks that machines install.

Every requirements.txt of the project gets a requirements.lock beside it, resolved for all supported Pythons
and platforms, each package with its hashes. They agree on versions: the root list is resolved first and the
others prefer what it chose. The root list has two parts and two locks, so that a demo waits for nothing
that only tests use.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from pgevents.errors import InputError

SUMMARY = "resolve every requirements.txt again and write the locks beside it"
REQUIREMENTS = "dev"

ROOT = Path(__file__).parents[2]
SECOND_PART = "# --- what builds"
HEADER = "# Made by `./pgevents lock` from requirements.txt: every package, with the hashes of its files.\n"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--upgrade", action="store_true", help="take the newest versions of what no list pins"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; end with 1 when a lock would change"
    )


def run(args: argparse.Namespace) -> int:
    locks = resolve_all(ROOT, args.upgrade)
    changed = [path for path, text in locks.items() if read(path) != text]
    for path in changed:
        print(f"{path.relative_to(ROOT)}: {'would change' if args.check else 'written'}")
        if not args.check:
            path.write_text(locks[path], encoding="utf-8")
    print(f"{len(locks)} locks, {len(changed)} changed")
    return 1 if args.check and changed else 0


def resolve_all(root: Path, upgrade: bool) -> dict[Path, str]:
    """The text of every lock, by its path."""
    both, first = read_list(root / "requirements.txt")
    run_lock, dev_lock = root / "requirements.lock", root / "requirements-dev.lock"
    everything = resolve(both, "" if upgrade else read(run_lock) + read(dev_lock))
    runs = resolve(first, everything)
    locks = {run_lock: HEADER + runs, dev_lock: HEADER + without(everything, runs)}
    for source in sorted([*root.glob("lambdas/*/requirements.txt"), *root.glob("local/**/requirements.txt")]):
        locks[source.with_suffix(".lock")] = HEADER + resolve(read(source), everything)
    return locks


def read_list(path: Path) -> tuple[str, str]:
    """The whole list, and its first part alone.

    :raises InputError: the heading of the second part is not there.
    """
    text = read(path)
    first, heading, _ = text.partition(SECOND_PART)
    if not heading:
        raise InputError(f"{path}: no line begins with {SECOND_PART!r}, which ends the part that only runs")
    return text, first


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def resolve(requirements: str, preferred: str) -> str:
    """Resolve the text of a list for all platforms, with the versions of the lock `preferred` if they fit.

    :raises InputError: the list cannot be resolved.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "requirements.txt").write_text(requirements, encoding="utf-8")
        output = Path(folder, "requirements.lock")
        output.write_text(preferred, encoding="utf-8")
        options = ["--universal", "--python-version=3.11", "--generate-hashes", "--no-header", "--quiet"]
        uv = [sys.executable, "-m", "uv", "pip", "compile", *options, "-o", output.name, "requirements.txt"]
        done = subprocess.run(uv, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise InputError(f"the list cannot be resolved: {' '.join(done.stderr.split())}")
        return output.read_text(encoding="utf-8")


def without(lock: str, other: str) -> str:
    """The entries of `lock` that `other` does not have under the same version and marker."""
    unwanted = entries(other)
    return "".join(text for head, text in entries(lock).items() if head not in unwanted)


def entries(lock: str) -> dict[str, str]:
    """A lock's entries by what stands on their first line: `name==version ; marker`."""
    texts = re.findall(r"^[^\s#].*\n(?:\s+.*\n)*", lock, re.MULTILINE)
    return {text.partition("\\")[0].strip(): text for text in texts}
