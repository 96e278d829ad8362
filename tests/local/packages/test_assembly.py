"""Packages: dependencies, the project's own code and pipeline.toml."""

import concurrent.futures
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lambda_packages.assembly import LAMBDAS, dependencies
from local.packages import LAMBDA_ARM, Lambda, assemble, build, check_import, runtime
from pgevents.errors import InputError
from tests.local.packages.conftest import PROJECT, Index, write


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "the packages"


def files(folder: Path) -> set[str]:
    """A folder's files, without what Python compiled."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


OWN = {
    "pipeline.toml",
    "pgevents/__init__.py",
    "pgevents/greeting.py",
    "transform/__init__.py",
    "transform/handler.py",
    "transform/transforms/__init__.py",
    "transform/transforms/accounts.py",
}


def test_a_package_holds_the_code_the_pipeline_and_the_dependencies_and_nothing_else(
    project: Path, out: Path, index: Index, cache: Path
) -> None:
    write(project / "lambdas/transform/requirements.lock", index.add("alpha"))
    for stray in ("__pycache__/x.pyc", "transforms/.hidden.py", "transforms/__pycache__/y.py"):
        write(project / "lambdas/transform" / stray, "")
    package = build("transform", project, out, cache=cache)
    dist = "alpha-1.0.dist-info"
    assert files(package) - {f"{dist}/{name}" for name in ("INSTALLER", "REQUESTED", "direct_url.json")} == {
        *OWN,
        "alpha.py",
        *(f"{dist}/{name}" for name in ("METADATA", "WHEEL", "RECORD")),
    }


def test_an_unchanged_project_gives_the_same_folder(project: Path, out: Path, cache: Path) -> None:
    first = build("transform", project, out, cache=cache)
    before = (first / "transform").stat().st_mtime_ns
    assert build("transform", project, out, cache=cache) == first
    assert (first / "transform").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "path", ["lambdas/transform/transforms/accounts.py", "lambdas/core/pgevents/greeting.py", "pipeline.toml"]
)
def test_a_change_gives_a_folder_of_its_own_and_leaves_the_first(
    project: Path, out: Path, cache: Path, path: str
) -> None:
    first = build("transform", project, out, cache=cache)
    kept = {name: (first / name).read_bytes() for name in files(first)}
    write(project / path, "NEW = 1\n")
    second = build("transform", project, out, cache=cache)
    assert second != first
    assert {name: (first / name).read_bytes() for name in files(first)} == kept
    place = path.removeprefix("lambdas/core/").removeprefix("lambdas/")
    assert (second / place).read_text() == "NEW = 1\n"


def test_the_pipeline_may_be_another_file(project: Path, out: Path, cache: Path, tmp_path: Path) -> None:
    write(tmp_path / "other.toml", "[other]\n")
    package = build("transform", project, out, cache=cache, pipeline=tmp_path / "other.toml")
    assert (package / "pipeline.toml").read_text() == "[other]\n"


def test_the_last_three_packages_stay(project: Path, out: Path, cache: Path) -> None:
    built = []
    for number in range(5):
        write(project / "pipeline.toml", f"number = {number}\n")
        built.append(build("transform", project, out, cache=cache))
        os.utime(built[-1], (number, number))
    assert set(out.iterdir()) == set(built[-3:])


def test_builds_at_the_same_time_agree(project: Path, out: Path, cache: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        built = set(pool.map(lambda _: build("transform", project, out, cache=cache), range(8)))
    assert set(out.iterdir()) == built
    assert len(built) == 1
    assert files(built.pop()) == OWN


def test_what_is_missing_is_one_line_and_nothing_is_left_behind(
    project: Path, out: Path, cache: Path
) -> None:
    (project / "pipeline.toml").unlink()
    with pytest.raises(InputError, match=r"pipeline\.toml: there is no such file"):
        build("transform", project, out, cache=cache)
    with pytest.raises(InputError, match=r"redshift_writer"):
        build("redshift_writer", project, out, cache=cache)
    assert not out.exists()


def digest(folder: Path) -> str:
    content = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return content.hexdigest()


def test_a_package_for_aws_is_the_same_whenever_and_wherever_it_is_made(
    project: Path, tmp_path: Path, index: Index
) -> None:
    write(
        project / "lambdas/transform/requirements.lock",
        index.add("alpha", tag="cp314-cp314-manylinux_2_28_aarch64"),
    )
    digests = set()
    for name in ("one", "two"):
        into = tmp_path / f"made {name}"
        into.mkdir()
        assemble("transform", project, into, LAMBDA_ARM, cache=tmp_path / f"cache {name}")
        assert not list(into.rglob("*.pyc"))
        digests.add(digest(into))
    assert len(digests) == 1


@pytest.mark.parametrize("name", LAMBDAS)
def test_the_projects_own_lambdas_import_from_their_packages(name: Lambda, tmp_path: Path) -> None:
    package = build(name, PROJECT, tmp_path)
    check_import(package, runtime(PROJECT), f"{name}.handler.handle")


def test_the_writers_package_leaves_out_what_the_driver_does_not_need() -> None:
    installed = dependencies("redshift_writer", PROJECT)
    names = {path.name for path in installed.iterdir() if path.is_dir() and path.suffix != ".dist-info"}
    assert names - {"__pycache__"} == {
        "redshift_connector",
        "scramp",
        "asn1crypto",
        "pytz",
        "packaging",
        "msgspec",
    }
    size = sum(
        path.stat().st_size for path in installed.rglob("*") if path.is_file() and path.suffix != ".pyc"
    )
    assert size < 8_000_000


def test_the_runtime_folder_holds_what_aws_brings() -> None:
    code = (
        "import awslambdaric, boto3, runtime_client, sys\n"
        "print(sum('site-packages' in folder for folder in sys.path))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", code],
        env={"PYTHONPATH": str(runtime(PROJECT))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "0", "")
