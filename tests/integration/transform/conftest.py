from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.integration.db_triggers.captured import Captured


@pytest.fixture
def captured(database: str) -> Iterator[Captured]:
    """A fresh database, in which a test makes its tables and captures them."""
    with closing(Captured(database)) as captured:
        yield captured
