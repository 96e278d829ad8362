"""`./pgevents doctor` where there is little to examine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.cdk import PROJECT

ROOTS = os.pathsep.join(str(PROJECT / root) for root in (".", "lambdas", "lambdas/core"))


def doctor(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    nobody = {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nowhere",
        "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
    }
    return subprocess.run(
        [sys.executable, "-m", "ops.cli", "doctor", *arguments],
        env={**environment, **nobody, "PYTHONPATH": ROOTS},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_environment_that_cannot_be_asked_is_two_warnings() -> None:
    done = doctor("stage")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [
        "warning  stage: its databases were not looked at: ./pgevents connect stage, and again beside it",
        "warning  AWS: no credentials: the Lambdas and the bucket were not looked at: "
        "log in (aws sso login, or AWS_PROFILE), with the right to read them",
    ]
    assert [each["level"] for each in json.loads(doctor("stage", "--json").stdout)] == ["warning"] * 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "there is no environment 'nowhere'"),
        (["--state", "/nowhere"], "nothing runs with the state folder /nowhere"),
    ],
)
def test_wrong_input_is_one_line(arguments: list[str], words: str) -> None:
    done = doctor(*arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert words in done.stderr


def test_only_an_environment_s_own_state_folder_is_taken_for_it(tmp_path: Path) -> None:

    folder = tmp_path
    endpoints = {"sources": {}, "postgres": "", "redshift": {"dsn": ""}, "lambda": "", "console": ""}
    (folder / "endpoints.json").write_text(json.dumps(endpoints))
    done = doctor("stage", "--state", str(folder))
    assert done.returncode == 2
    assert "is one of a pipeline on this machine, not of stage" in done.stderr
