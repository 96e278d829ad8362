"""Whether a package's handler imports, found out before a function is started with it."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from lambda_packages.assembly import LAMBDAS, code_folders
from local.lambda_service.isolation import ISOLATED, base_variables
from pgevents.errors import InputError
from pgevents.transforms import refuse_unrouted

SCRIPT = Path(__file__).with_name("import_handler.py")
# Lambda gives an initialisation ten seconds.
TIMEOUT_S = 10.0
NO_ENVIRONMENT: Mapping[str, str] = {}


class Failure(msgspec.Struct, frozen=True):
    """Why a handler does not import: one line, and the file and the line that it comes from, where known."""

    error: str
    file: str | None = None
    line: int | None = None


class Report(msgspec.Struct, frozen=True):
    """What importing a handler came to, and what its transforms are registered for."""

    failure: Failure | None
    transforms: list[tuple[str, str]]


def check_import(
    package: Path,
    runtime: Path,
    handler: str,
    environment: Mapping[str, str] = NO_ENVIRONMENT,
    routed_tables: Collection[str] = (),
    timeout_s: float = TIMEOUT_S,
) -> None:
    """Import a handler, and with it the user's transforms, as a function would.

    That is in a process of its own, which sees the package, the runtime and the given environment variables.

    Raises InputError, one line with the file in the project, its line and the error; and for a transform of a
    table that is not among `routed_tables`, where these are given.
    """
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch, "failure.json")
        variables = base_variables(package, runtime, "eu-west-1", Path(scratch))
        output = _run([handler, str(report)], {**variables, **environment}, package, timeout_s)
        if not report.exists():
            raise InputError(f"{handler}: the import ended the process{output}; a module must not do that")
        found = msgspec.json.decode(report.read_bytes(), type=Report)
    if found.failure:
        raise InputError(_one_line(found.failure, package.resolve(), handler))
    if routed_tables:
        refuse_unrouted(found.transforms, routed_tables)


def _run(arguments: list[str], variables: Mapping[str, str], package: Path, timeout_s: float) -> str:
    """How the process ended, and the last line that it printed."""
    command = [sys.executable, *ISOLATED, str(SCRIPT), *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=package,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            text=True,
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"{arguments[0]}: the import takes longer than {timeout_s:g} s; "
            "move what takes long from the modules into functions"
        ) from error
    code = done.returncode
    how = f" with signal {signal.Signals(-code).name}" if code < 0 else f" with code {code}"
    last = done.stdout.strip().rpartition("\n")[2]
    return f"{how}: {last}" if last else how


def _one_line(failure: Failure, package: Path, handler: str) -> str:
    error = failure.error
    for inside, folder in _own_code().items():
        error = error.replace(f"{package / inside}/", f"{folder}/")
    where = f"{_in_project(Path(failure.file), package)}:{failure.line}" if failure.file else handler
    return f"{where}: {' '.join(error.split())}"


def _in_project(file: Path, package: Path) -> Path:
    """The file that a package's file was copied from."""
    if not file.is_relative_to(package):
        return file
    top, *rest = file.relative_to(package).parts
    return _own_code().get(top, package / top).joinpath(*rest)


def _own_code() -> dict[str, Path]:
    return {inside: folder for name in LAMBDAS for inside, folder in code_folders(name).items()}
