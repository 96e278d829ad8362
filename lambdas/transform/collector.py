"""Python's collector of cycles, and when it is in the way."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_resting() -> Iterator[None]:
    """Nothing is looked for in cycles meanwhile. A batch's rows are in none, but there are many of them at
    once: to go through them again and again takes a tenth of the reading."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
