"""The packages: wheels for Lambda's platform only, small, and the same on every machine."""

import re
from pathlib import Path

import pytest

from infra.packages import Packages
from lambda_packages import LAMBDA_ARM, Lambda, build, runtime
from local.packages import check_import
from tests.unit.infra.conftest import Templates, command_line

PROJECT = command_line.PROJECT
MEGABYTES = {"transform": 25, "redshift_writer": 12, "trigger_installer": 25}
PLATFORM = re.compile(r"cp314-(cp314|abi3)-manylinux(2014|_2_\d+)_aarch64|py[23.py]*-none-any")


@pytest.fixture(scope="session")
def packages() -> Packages:
    return Packages.of(PROJECT, PROJECT / "pipeline.toml")


@pytest.fixture(params=MEGABYTES)
def package(request: pytest.FixtureRequest, packages: Packages) -> tuple[str, Path]:
    return request.param, getattr(packages, request.param)


def test_every_wheel_is_for_lambdas_platform(package: tuple[str, Path]) -> None:
    tags = {
        tag
        for wheel in package[1].glob("*.dist-info/WHEEL")
        for tag in re.findall(r"^Tag: (.*)$", wheel.read_text(), re.MULTILINE)
    }
    assert tags
    assert [tag for tag in tags if not PLATFORM.fullmatch(tag)] == []


def test_every_compiled_module_is_for_graviton_and_this_python(package: tuple[str, Path]) -> None:
    modules = [path for path in package[1].rglob("*.so") if ".libs" not in str(path)]
    assert modules
    for module in modules:
        assert module.name.endswith(".cpython-314-aarch64-linux-gnu.so") or ".abi3" in module.name
        header = module.read_bytes()[:20]
        assert (header[:4], header[18]) == (b"\x7fELF", 183), module  # 183: AArch64


def test_a_package_is_small(package: tuple[str, Path]) -> None:
    size = sum(path.stat().st_size for path in package[1].rglob("*") if path.is_file())
    assert size < MEGABYTES[package[0]] * 1_000_000


def test_a_package_brings_the_pipeline_and_nothing_of_another_python(package: tuple[str, Path]) -> None:
    assert (package[1] / "pipeline.toml").read_text() == (PROJECT / "pipeline.toml").read_text()
    assert not list(package[1].rglob("*.pyc"))
    assert not (package[1] / "boto3").exists()


def test_the_installer_brings_the_sql(packages: Packages) -> None:
    there = {path.name for path in (packages.trigger_installer / "db_triggers").rglob("*.sql")}
    assert there == {path.name for path in (PROJECT / "db_triggers").rglob("*.sql")}


@pytest.mark.parametrize("name", MEGABYTES)
def test_the_same_package_imports_when_it_is_built_for_this_machine(name: Lambda, tmp_path: Path) -> None:
    check_import(build(name, PROJECT, tmp_path), runtime(PROJECT), f"{name}.handler.handle")


def test_another_folder_gives_the_same_name_and_so_the_same_asset(tmp_path: Path, packages: Packages) -> None:
    elsewhere = build("transform", PROJECT, tmp_path / "another folder", LAMBDA_ARM)
    assert elsewhere.name == packages.transform.name


def test_an_asset_changes_when_a_package_does(tmp_path: Path, packages: Packages) -> None:
    other = tmp_path / "pipeline.toml"
    other.write_text((PROJECT / "pipeline.toml").read_text() + "\n")
    assert build("transform", PROJECT, tmp_path, LAMBDA_ARM, pipeline=other).name != packages.transform.name


def test_all_environments_deploy_the_same_packages(environments: dict[str, Templates]) -> None:
    keys = {
        name: sorted(function["Code"]["S3Key"] for function in found.properties("AWS::Lambda::Function"))
        for name, found in environments.items()
    }
    assert keys["dev"] == keys["stage"] == keys["prod"]
