"""Services over a package with a space in its path, which end with their test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local import packages
from local.emulator import Emulator
from local.lambda_service import FunctionConfiguration, ServiceConfiguration
from local.postgres import free_port
from tests.local.lambda_service.running import Running, function, write_package

PROJECT = Path(__file__).parents[3]

Start = Callable[..., Running]


@pytest.fixture(scope="session")
def runtime() -> Path:
    """What AWS's runtime folder holds."""
    return packages.runtime(PROJECT)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "the state"
    folder.mkdir()
    return folder


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_package(tmp_path / "a package")


@pytest.fixture
def start(runtime: Path, state: Path, package: Path) -> Iterator[Start]:
    """Starts a service with these functions, or with one that has these settings."""
    started: list[Running] = []

    def start(
        *functions: FunctionConfiguration, service: dict[str, Any] | None = None, **settings: Any
    ) -> Running:
        service = dict(service or {})
        extensions = service.pop("extensions", ())
        configuration = ServiceConfiguration(
            state=str(state),
            runtime=str(runtime),
            functions=functions or (function(package, state, **settings),),
            **service,
        )
        started.append(Running(configuration, extensions))
        return started[-1]

    yield start
    for running in started:
        running.stop()


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """SQS for the whole session."""
    emulator = Emulator(tmp_path_factory.mktemp("emulator"), free_port())
    emulator.start()
    yield emulator
    emulator.stop()
