from collections.abc import Iterator
from contextlib import closing

import pytest

from pgevents import transforms
from tests.integration.db_triggers.captured import Captured
from tests.integration.transform.letters import Shop


@pytest.fixture(autouse=True)
def no_transforms() -> Iterator[None]:
    """Every test begins without transforms: those that another one has registered would run on its tables."""
    with transforms.isolated():
        yield


@pytest.fixture
def captured(database: str) -> Iterator[Captured]:
    """A fresh database, in which a test makes its tables and captures them."""
    with closing(Captured(database)) as captured:
        yield captured


@pytest.fixture
def shop(captured: Captured) -> Shop:
    """A captured table whose transform fails for the rows that a test names."""
    return Shop(captured)
