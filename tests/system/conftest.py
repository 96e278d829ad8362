"""A whole pipeline for a test: every process, on free ports, in a folder with a space in its name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import running
from local.stack.project import make_project
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
    folder = tmp_path_factory.mktemp("system") / "a project"
    return make_project(folder, {"accounts": traffic.TABLES}, PIPELINE)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state folder of the pipeline under test."""
    return tmp_path / "its state"


@pytest.fixture
def endpoints(project: Path, state: Path) -> Iterator[Endpoints]:
    """A pipeline that runs."""
    with running(project, state) as found:
        yield found
