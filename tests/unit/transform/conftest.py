import pytest

from pgevents import transforms


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transforms that a test registers are its own, and those of the repository are not there."""
    monkeypatch.setattr(transforms, "_registered", {})
