from collections.abc import Iterator

import pytest

from pgevents import transforms
from tests.unit.transform.drained import Bench
from transform import drain, gathering, taking


@pytest.fixture
def own_registry() -> Iterator[None]:
    """Transforms that a test registers are its own, and those of the repository are not there."""
    with transforms.isolated():
        yield


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """No drain waits for anything, unless a test lets it."""
    monkeypatch.setattr(taking, "BACK_PRESSURE_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(drain, "_LINGER_SECONDS", 0.0)
    monkeypatch.setattr(gathering, "_SECONDS", 0.0)


@pytest.fixture
def bench() -> Bench:
    return Bench()
