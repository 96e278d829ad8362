"""Packages: the dependencies of a Lambda, the code of this project and pipeline.toml in one folder."""

import compileall
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from lambda_packages.layer import HOST, Target, default_cache, layer, link_or_copy, put_in_place
from pgevents.errors import InputError

Lambda = Literal["transform", "redshift_writer", "trigger_installer"]

LAMBDAS: tuple[Lambda, ...] = ("transform", "redshift_writer")
"""Those that changes go through. trigger_installer runs on AWS only, when somebody deploys."""
PIPELINE = "pipeline.toml"
RUNTIME_LOCK = Path("local/lambda_service/requirements.lock")
KEPT_PACKAGES = 3

# redshift-connector asks for these for its identity-provider plugins, which the writer does not load, and for
# boto3, which Lambda's runtime brings: left out, the package is a fifth of the size.
LEFT_OUT: Mapping[Lambda, tuple[str, ...]] = {
    "transform": (),
    "redshift_writer": (
        "beautifulsoup4",
        "boto3",
        "botocore",
        "certifi",
        "charset-normalizer",
        "idna",
        "jmespath",
        "lxml",
        "python-dateutil",
        "requests",
        "s3transfer",
        "setuptools",
        "six",
        "soupsieve",
        "typing-extensions",
        "urllib3",
    ),
    "trigger_installer": (),
}


def code_folders(name: Lambda) -> dict[str, Path]:
    """Folders of a package's own code: their name in the package and their path in the project."""
    folders = {"pgevents": Path("lambdas/core/pgevents"), name: Path("lambdas") / name}
    return {**folders, "db_triggers": Path("db_triggers")} if name == "trigger_installer" else folders


def prepare(project: Path, target: Target = HOST, cache: Path | None = None) -> None:
    """Install the dependencies of every Lambda and of the runtime, those that are there already excepted.

    Afterwards `build` and `runtime` need no network. Raises InputError when the packages cannot be had.
    """
    with ThreadPoolExecutor(max_workers=len(LAMBDAS) + 1) as pool:
        layers = [pool.submit(dependencies, name, project, target, cache) for name in LAMBDAS]
        layers.append(pool.submit(runtime, project, target, cache))
    for made in layers:
        made.result()


def runtime(project: Path, target: Target = HOST, cache: Path | None = None) -> Path:
    """The folder of what AWS's own runtime brings: awslambdaric and boto3. Raises InputError."""
    return layer(project / RUNTIME_LOCK, target, cache or default_cache())


def dependencies(name: Lambda, project: Path, target: Target = HOST, cache: Path | None = None) -> Path:
    """The folder of a Lambda's dependencies. Raises InputError."""
    lock = project / "lambdas" / name / "requirements.lock"
    return layer(lock, target, cache or default_cache(), LEFT_OUT[name])


def build(
    name: Lambda,
    project: Path,
    out: Path,
    target: Target = HOST,
    *,
    pipeline: Path | None = None,
    cache: Path | None = None,
) -> Path:
    """The package of a Lambda as the project is now, a folder in `out` that is named by its content.

    A package is never changed once it stands there, so a function that runs from one keeps it; the last three
    stay. `pipeline` is the project's pipeline.toml unless given. Raises InputError.
    """
    installed = dependencies(name, project, target, cache)
    pipeline = pipeline or project / PIPELINE
    folder = out / f"{name}-{fingerprint(name, project, pipeline, installed)}"
    if not folder.is_dir():
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=f".{name}-") as work:
            made = Path(work, "package")
            made.mkdir()
            _fill(name, project, pipeline, installed, made)
            # Compiled by this interpreter, the modules would be of no use to another.
            for code in code_folders(name) if target == HOST else ():
                compileall.compile_dir(made / code, quiet=2)
            put_in_place(made, folder)
    os.utime(folder)
    _forget_old(name, out)
    return folder


def assemble(
    name: Lambda,
    project: Path,
    into: Path,
    target: Target,
    *,
    pipeline: Path | None = None,
    cache: Path | None = None,
) -> None:
    """Put a package for another platform into an existing empty folder. The same input gives the same files.

    Raises InputError.
    """
    installed = dependencies(name, project, target, cache)
    _fill(name, project, pipeline or project / PIPELINE, installed, into)


def _fill(name: Lambda, project: Path, pipeline: Path, installed: Path, into: Path) -> None:
    shutil.copytree(installed, into, copy_function=link_or_copy, dirs_exist_ok=True)
    for source, place in _own_files(name, project, pipeline):
        (into / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, into / place)


def _own_files(name: Lambda, project: Path, pipeline: Path) -> Iterator[tuple[Path, Path]]:
    """What of the project belongs into a package: (path, place in the package), in a fixed order."""
    for package, folder in code_folders(name).items():
        if not (project / folder).is_dir():
            raise InputError(f"{project / folder}: there is no such folder; run this in the project's own")
        for path in sorted((project / folder).rglob("*")):
            inside = path.relative_to(project / folder)
            if path.is_file() and not _left_out(inside):
                yield path, Path(package) / inside
    if not pipeline.is_file():
        raise InputError(f"{pipeline}: there is no such file; write it or name another")
    yield pipeline, Path(PIPELINE)


def _left_out(inside: Path) -> bool:
    return (
        any(part == "__pycache__" or part.startswith(".") for part in inside.parts)
        or inside.suffix == ".pyc"
        or inside.name in ("requirements.txt", "requirements.lock")
    )


def fingerprint(name: Lambda, project: Path, pipeline: Path, installed: Path) -> str:
    """What a package's name ends with: the same on every machine for the same project and target."""
    content = hashlib.sha256(installed.name.encode())
    for path, place in _own_files(name, project, pipeline):
        file = path.read_bytes()
        content.update(f"\0{place}\0{len(file)}\0".encode() + file)
    return content.hexdigest()[:16]


def _forget_old(name: Lambda, out: Path) -> None:
    """Keep the packages that were built or asked for last."""
    packages = [(folder.stat().st_mtime, folder) for folder in out.glob(f"{name}-*")]
    for _, folder in sorted(packages, reverse=True)[KEPT_PACKAGES:]:
        shutil.rmtree(folder, ignore_errors=True)
