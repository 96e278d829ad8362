"""`./pgevents synth` and its kin: the pinned command line, its own Node, and no network."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ops import cdk, cli
from ops.commands import deploy
from pgevents.errors import InputError

OFFLINE = ["unshare", "--map-root-user", "--net"]


def test_the_command_line_is_the_pinned_one_under_the_pinned_node() -> None:
    pinned = json.loads((cdk.PROJECT / "package.json").read_text())["dependencies"]["aws-cdk"]
    command = [str(cdk.node()), str(cdk.command_line()), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(pinned)
    version = subprocess.run([str(cdk.node()), "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("v24.")


def test_the_lock_names_the_hash_of_what_package_json_pins() -> None:
    lock = json.loads((cdk.PROJECT / "package-lock.json").read_text())["packages"]
    pinned = json.loads((cdk.PROJECT / "package.json").read_text())["dependencies"]
    assert {name: lock[f"node_modules/{name}"]["version"] for name in pinned} == pinned
    assert all(entry["integrity"].startswith("sha512-") for path, entry in lock.items() if path)


def test_stacks_are_named_or_all() -> None:
    parser = argparse.ArgumentParser()
    cdk.stacks_arguments(parser)
    assert cdk.stacks(parser.parse_args(["dev"])) == ["dev/*", "--context", "env=dev"]
    args = parser.parse_args(["prod", "--only", "network", "--only", "databases"])
    assert cdk.stacks(args) == ["prod/network", "prod/databases", "--context", "env=prod"]


def deployed(*arguments: str) -> list[str]:
    return deploy.command(cli.parse("deploy", deploy, [*arguments]))


def test_a_deployment_looks_at_stacks_whose_own_template_has_not_changed() -> None:
    """What they know of another stack may have, and is no text of theirs."""
    assert deployed("dev") == ["deploy", "dev/*", "--context", "env=dev", "--force"]
    assert deployed("dev", "--profile", "x")[-3:] == ["--force", "--profile", "x"]


@pytest.mark.parametrize("option", ["--no-rollback", "-R", "--rollback=false"])
def test_a_deployment_that_keeps_what_failed_is_not_forced(option: str) -> None:
    assert deployed("dev", option) == ["deploy", "dev/*", "--context", "env=dev", option]


def test_without_a_network_a_missing_command_line_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:1")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    with pytest.raises(InputError, match="the CDK's command line cannot be installed"):
        cdk.command_line(tmp_path / "a cache")
    assert [path.name for path in (tmp_path / "a cache").iterdir()] == ["lock"]


def can_leave_the_network() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*OFFLINE, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_leave_the_network(), reason="this machine lets nobody leave the network")
def test_synth_needs_no_network_and_no_account(tmp_path: Path) -> None:
    cdk.command_line()
    command = [sys.executable, "-m", "ops.cli", "synth", "prod", "--output", str(tmp_path / "a cdk.out")]
    roots = os.pathsep.join(str(cdk.PROJECT / folder) for folder in (".", "lambdas", "lambdas/core"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        [*OFFLINE, *command],
        env={**environment, "PYTHONPATH": roots},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 stacks each for prod" in done.stdout
    assert len(list((tmp_path / "a cdk.out" / "assembly-prod").glob("*.template.json"))) == 5


def test_an_environment_that_does_not_exist_is_one_line() -> None:
    roots = os.pathsep.join(str(cdk.PROJECT / folder) for folder in (".", "lambdas", "lambdas/core"))
    for command in ("synth", "diff", "deploy", "destroy"):
        done = subprocess.run(
            [sys.executable, "-m", "ops.cli", command, "nowhere"],
            env={**os.environ, "PYTHONPATH": roots},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "no environment 'nowhere'" in done.stderr
