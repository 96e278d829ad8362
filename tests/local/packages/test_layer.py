"""Dependency layers: what a lock installs, once."""

import concurrent.futures
from pathlib import Path

import pytest

from lambda_packages.layer import HOST, LAMBDA_ARM, Target, layer, select
from pgevents.errors import InputError
from tests.local.packages.conftest import PROJECT, Index


def lock_of(folder: Path, *entries: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / "requirements.lock"
    lock.write_text("# Made by a test.\n" + "".join(entries))
    return lock


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"__pycache__"}


def visible(cache: Path) -> list[Path]:
    return [path for path in cache.iterdir() if not path.name.endswith(".lock")]


def test_a_layer_holds_what_the_lock_names(index: Index, tmp_path: Path, cache: Path) -> None:
    lock = lock_of(tmp_path / "one", index.add("alpha"), index.add("beta", "2.0"))
    made = layer(lock, HOST, cache)
    assert names(made) == {"alpha.py", "alpha-1.0.dist-info", "beta.py", "beta-2.0.dist-info"}
    assert visible(cache) == [made]


def test_a_layer_that_is_there_needs_no_index(index: Index, tmp_path: Path, cache: Path) -> None:
    lock = lock_of(tmp_path / "one", index.add("alpha"))
    made = layer(lock, HOST, cache)
    for wheel in index.folder.iterdir():
        wheel.unlink()
    lock.write_text("# The comments may change.\n" + lock.read_text())
    assert layer(lock, HOST, cache) == made


def test_another_lock_makes_another_layer_and_leaves_the_first(
    index: Index, tmp_path: Path, cache: Path
) -> None:
    first = layer(lock_of(tmp_path / "one", index.add("alpha")), HOST, cache)
    second = layer(lock_of(tmp_path / "one", index.add("alpha", "1.1")), HOST, cache)
    assert "1.0" in (first / "alpha.py").read_text()
    assert "1.1" in (second / "alpha.py").read_text()


def test_what_is_left_out_is_not_installed_and_must_be_known(
    index: Index, tmp_path: Path, cache: Path
) -> None:
    lock = lock_of(tmp_path / "one", index.add("alpha"), index.add("beta"))
    assert names(layer(lock, HOST, cache, ["beta"])) == {"alpha.py", "alpha-1.0.dist-info"}
    with pytest.raises(InputError, match="gamma is to be left out but is not there"):
        layer(lock, HOST, cache, ["gamma"])


def test_a_package_with_another_hash_is_refused_and_nothing_is_left_behind(
    index: Index, tmp_path: Path, cache: Path
) -> None:
    lock = lock_of(tmp_path / "one", index.add("alpha"))
    index.add("alpha", text="EVIL = True\n")
    with pytest.raises(InputError, match="one-[0-9a-f]+: its packages cannot be installed") as caught:
        layer(lock, HOST, cache)
    assert "\n" not in str(caught.value)
    assert visible(cache) == []


def test_a_package_that_cannot_be_had_is_one_line(index: Index, tmp_path: Path, cache: Path) -> None:
    lock = lock_of(tmp_path / "one", index.add("alpha"))
    next(index.folder.iterdir()).unlink()
    with pytest.raises(InputError, match="check the network and call again") as caught:
        layer(lock, HOST, cache)
    assert "\n" not in str(caught.value)
    assert "alpha" in str(caught.value)


def test_a_lock_that_is_not_there_is_one_line(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(InputError, match=r"requirements\.lock: cannot be read"):
        layer(tmp_path / "requirements.lock", HOST, cache)


def test_four_at_once_make_one_layer(index: Index, tmp_path: Path, cache: Path) -> None:
    lock = lock_of(tmp_path / "one", index.add("alpha"))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        made = set(pool.map(lambda _: layer(lock, HOST, cache), range(4)))
    assert len(made) == 1
    assert visible(cache) == list(made)
    assert (made.pop() / "alpha.py").is_file()


def test_another_platform_gets_its_own_wheels_and_markers(index: Index, tmp_path: Path, cache: Path) -> None:
    wanted = index.add("alpha", tag="cp314-cp314-manylinux_2_28_aarch64")
    index.add("alpha", tag="cp311-cp311-manylinux_2_28_x86_64")
    old = index.add("old", tag="cp314-cp314-manylinux_2_17_aarch64")
    stable = index.add("stable", tag="cp311-abi3-manylinux2014_aarch64")
    only_old_python = index.add("backport").replace(" \\", " ; python_full_version < '3.13' \\", 1)
    only_elsewhere = index.add("windows").replace(" \\", " ; sys_platform == 'win32' \\", 1)
    lock = lock_of(tmp_path / "one", wanted, old, stable, only_old_python, only_elsewhere)
    made = layer(lock, LAMBDA_ARM, cache)
    assert {name for name in names(made) if name.endswith(".py")} == {"alpha.py", "old.py", "stable.py"}
    assert "aarch64" in (made / "alpha.py").read_text()
    assert not list(made.rglob("*.pyc"))


def test_a_wheel_for_a_newer_glibc_is_refused(index: Index, tmp_path: Path, cache: Path) -> None:
    lock = lock_of(tmp_path / "one", index.add("alpha", tag="cp314-cp314-manylinux_2_38_aarch64"))
    with pytest.raises(InputError, match="cannot be installed"):
        layer(lock, LAMBDA_ARM, cache)


def test_every_entry_of_the_projects_own_locks_is_understood() -> None:
    every_python = [Target("3.11", "x86_64", 28), Target("3.13", "aarch64", 28), LAMBDA_ARM, HOST]
    for lock in [
        *PROJECT.glob("lambdas/*/requirements.lock"),
        PROJECT / "local/lambda_service/requirements.lock",
    ]:
        text = lock.read_text()
        pinned = {line.split("==")[0] for line in text.splitlines() if "==" in line and line[0].isalpha()}
        for target in every_python:
            lines = select(lock, target).splitlines()
            assert all("--hash=sha256:" in line for line in lines)
            found = {line.split("==")[0] for line in lines}
            assert pinned - found <= {"tzdata", "typing-extensions"}
        assert sum(line.count("--hash") for line in select(lock, HOST).splitlines()) <= text.count("--hash=")
