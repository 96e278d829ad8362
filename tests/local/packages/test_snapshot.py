"""What a snapshot of an imported handler would hold: nothing that two instances made from it must not share.

Lambda's SnapStart stores a process after its imports and starts many from it. A fork after the import does the
same: what two children have in common then, two instances would.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lambda_packages import Lambda, build, runtime
from local.lambda_service.isolation import ISOLATED, base_variables
from local.programs.environment import PROJECT

AFTER_IMPORT = """
import importlib, json, os, random, sys, threading, time
before = random.getstate()
importlib.import_module(sys.argv[1])
held = {
    "threads": [thread.name for thread in threading.enumerate()][1:],
    "files": sorted(link for link in map(readable, os.listdir("/proc/self/fd")) if link),
    "cloud": [name for name in ("boto3", "botocore", "redshift_connector") if name in sys.modules],
    "drawn": random.getstate() != before,
}
print(json.dumps(held))
"""
READABLE = """
def readable(number):
    import os
    try:
        link = os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        return ""
    return link if link.startswith(("socket:", "/tmp")) else ""
"""
TWINS = """
import importlib, json, os, sys
importlib.import_module(sys.argv[1])
{prepare}
ends = []
for twin in range(2):
    reading, writing = os.pipe()
    if not os.fork():
        os.write(writing, json.dumps({told}).encode())
        os._exit(0)
    os.close(writing)
    ends.append(reading)
print(json.dumps([json.loads(os.read(end, 65536)) for end in ends]))
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[Lambda, Path]:
    out = tmp_path_factory.mktemp("packages")
    names: tuple[Lambda, ...] = ("transform", "redshift_writer")
    return {name: build(name, PROJECT, out) for name in names}


def run(package: Path, code: str, module: str, scratch: Path) -> object:
    """What the code prints, run on the package's path as the function would be."""
    done = subprocess.run(
        [sys.executable, *ISOLATED, "-W", "ignore::DeprecationWarning", "-c", code, module],
        cwd=package,
        env=base_variables(package, runtime(PROJECT), "eu-west-1", scratch),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into /proc")
@pytest.mark.parametrize("name", ["transform", "redshift_writer"])
def test_import_opens_nothing_draws_nothing_and_brings_no_client(
    packages: dict[Lambda, Path], name: Lambda, tmp_path: Path
) -> None:
    held = run(packages[name], READABLE + AFTER_IMPORT, f"{name}.handler", tmp_path)
    assert held == {"threads": [], "files": [], "cloud": [], "drawn": False}


def test_two_writers_of_one_snapshot_pause_for_different_times(
    packages: dict[Lambda, Path], tmp_path: Path
) -> None:
    """The pauses after a conflict have to part writers that met once. A fork draws a new seed, a snapshot keeps
    the old one."""
    prepare = """
import random
from redshift_writer import writer
def told(twin):
    random.seed(1)
    return [writer._pause_seconds(attempt) for attempt in range(1, 9)]
"""
    code = TWINS.format(prepare=prepare, told="told(twin)")
    one, other = run(packages["redshift_writer"], code, "redshift_writer.handler", tmp_path)  # type: ignore[misc]
    assert one != other


def test_two_transforms_of_one_snapshot_share_no_client(packages: dict[Lambda, Path], tmp_path: Path) -> None:
    """Each makes its own, with the credentials that it finds then."""
    prepare = """
from transform.aws import Aws
aws = Aws()
assert not vars(aws)
def told(twin):
    os.environ["AWS_ACCESS_KEY_ID"] = f"key {twin}"
    return aws.s3._request_signer._credentials.access_key
"""
    code = TWINS.format(prepare=prepare, told="told(twin)")
    assert run(packages["transform"], code, "transform.handler", tmp_path) == ["key 0", "key 1"]
