import os
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.integration.db_triggers.captured import Captured

slow = pytest.mark.skipif("PGEVENTS_SLOW" not in os.environ, reason="takes minutes; PGEVENTS_SLOW=1 runs it")


@pytest.fixture
def captured(database: str) -> Iterator[Captured]:
    """A fresh database, in which a test makes its tables and captures them."""
    with closing(Captured(database)) as captured:
        yield captured
