from collections.abc import Iterator

import pytest

from pgevents import transforms


@pytest.fixture
def own_registry() -> Iterator[None]:
    """Transforms that a test registers are its own, and those of the repository are not there."""
    with transforms.isolated():
        yield
