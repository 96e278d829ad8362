"""The measurement: a handler's import, beside what it would be with boto3 and the driver as they come."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import measure
from bench.measure import Report, facts, interleaved
from lambda_packages import Lambda, build, runtime
from local.lambda_service.isolation import ISOLATED, base_variables
from local.programs.environment import PROJECT

_IMPORTS: dict[str, tuple[Lambda, str]] = {
    "boto3": ("transform", "import boto3"),
    "transform": ("transform", "import transform.handler"),
    "transform with boto3": ("transform", "import boto3, transform.handler"),
    "redshift_writer": ("redshift_writer", "import redshift_writer.handler"),
    "redshift_writer with its driver": (
        "redshift_writer",
        "import redshift_writer.handler; from redshift_writer.connect import load_driver; load_driver()",
    ),
}
_MOST_MILLISECONDS = {"transform": 150, "redshift_writer": 200, "redshift_writer with its driver": 200}
_MOST_MEGABYTES: dict[Lambda, int] = {"transform": 25, "redshift_writer": 12}


def measured(args: argparse.Namespace) -> Report:
    """Builds the packages and runs it all. Raises InputError for wrong arguments."""
    report = Report("cold-start", facts())
    with tempfile.TemporaryDirectory(prefix="pgevents-cold-start-") as folder:
        packages = {name: build(name, PROJECT, Path(folder)) for name in _MOST_MEGABYTES}
        ways = {
            name: _import(packages[package], statement, Path(folder))
            for name, (package, statement) in _IMPORTS.items()
        }
        for way in ways.values():
            way()  # reads the files, writes what is compiled
        compared = report.compare(
            interleaved(
                "Processor time of imports",
                ways,
                unit="ms",
                baseline="boto3",
                rounds=measure.rounds(args, 15),
                tell=measure.teller(args),
            )
        )
        sizes = {name: _megabytes(package) for name, package in packages.items()}
    for name, most in _MOST_MILLISECONDS.items():
        report.target(f"import of {name}", compared.value(name).median, "<=", most, "ms")
    for package_name, most in _MOST_MEGABYTES.items():
        report.target(f"package of {package_name}, unpacked", sizes[package_name], "<=", most, "MB")
    return report


def _import(package: Path, statement: str, scratch: Path) -> Callable[[], float]:
    code = f"import time; began = time.process_time(); {statement}; print(time.process_time() - began)"
    variables = base_variables(package, runtime(PROJECT), "eu-west-1", scratch)

    def milliseconds() -> float:
        command = [sys.executable, *ISOLATED, "-c", code]
        done = subprocess.run(command, cwd=package, env=variables, capture_output=True, text=True, check=True)
        return 1000 * float(done.stdout)

    return milliseconds


def _megabytes(package: Path) -> float:
    files = (file.stat().st_size for file in package.rglob("*") if file.is_file())
    return sum(files) / 1e6
