"""`./pgevents bench NAME`: measurements and attacks, one module of `bench/` each.

A bench is a module or a package there with `SUMMARY`, `arguments(parser)` and `run(args)`, as a command is.
It imports what is costly within `run`.
"""

import argparse
import ast
import importlib
from pathlib import Path
from typing import cast

from ops.cli import Command

SUMMARY = "Attack or measure the pipeline: bench faults, and others"

BENCHES = Path(__file__).parents[2] / "bench"


def arguments(parser: argparse.ArgumentParser) -> None:
    benches = parser.add_subparsers(dest="bench", required=True, metavar="NAME", title="benches")
    for name, text in summaries().items():
        # Declared for all: --help and a wrong argument must know them.
        bench(name).arguments(benches.add_parser(name, help=text, description=text, allow_abbrev=False))


def run(args: argparse.Namespace) -> int:
    return bench(args.bench).run(args)


def bench(name: str) -> Command:
    return cast(Command, importlib.import_module(f"bench.{name.replace('-', '_')}"))


def summaries() -> dict[str, str]:
    """Every bench with its SUMMARY, in alphabetical order."""
    found = {}
    for path in [*BENCHES.glob("*.py"), *BENCHES.glob("*/__init__.py")]:
        name = path.parent.name if path.name == "__init__.py" else path.stem
        text = _summary(path)
        if text is not None:
            found[name.replace("_", "-")] = text
    return dict(sorted(found.items()))


def _summary(path: Path) -> str | None:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(name, ast.Name) and name.id == "SUMMARY" for name in node.targets
        ):
            return str(ast.literal_eval(node.value))
    return None
