"""A whole pipeline for a test: every process, on free ports, in a folder with a space in its name."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.programs.environment import PROJECT
from local.stack import running
from ops.endpoints import Endpoints
from tests.system import traffic

PIPELINE = """
[sources.accounts]
doorbell = "invoke"
[[sources.accounts.tables]]
table = "public.ledger_entry"
[[sources.accounts.tables]]
table = "public.wide"

[sinks.replica]
type = "postgres"
[sinks.archive]
type = "s3"
[sinks.warehouse]
type = "redshift"

[[routes]]
table = "accounts.public.ledger_entry"
sinks = ["replica", "archive", "warehouse"]
mode = "both"
[[routes]]
table = "accounts.public.wide"
sinks = ["replica", "archive", "warehouse"]
"""


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that captures the tables of the traffic, without transforms."""
    copy = tmp_path_factory.mktemp("system") / "a project"
    shutil.copytree(PROJECT / "lambdas", copy / "lambdas", ignore=shutil.ignore_patterns("__pycache__"))
    for module in (copy / "lambdas" / "transform" / "transforms").glob("[a-z]*.py"):
        module.unlink()
    (copy / "local" / "databases").mkdir(parents=True)
    (copy / "local" / "databases" / "accounts.sql").write_text(traffic.TABLES)
    (copy / "local" / "lambda_service").mkdir()
    for lock in PROJECT.glob("local/lambda_service/requirements.*"):
        shutil.copy(lock, copy / "local" / "lambda_service")
    (copy / "pipeline.toml").write_text(PIPELINE)
    return copy


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state folder of the pipeline under test."""
    return tmp_path / "its state"


@pytest.fixture
def endpoints(project: Path, state: Path) -> Iterator[Endpoints]:
    """A pipeline that runs."""
    with running(project, state) as found:
        yield found
