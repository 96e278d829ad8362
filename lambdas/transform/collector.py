"""Python's collector of cycles, kept from going through a batch's rows.

Rows of texts are in no cycle, but there are many of them at once: to look for some among them again and again
takes a tenth of the reading. What a transform leaves behind may well be cycles, so it is looked for.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def rows_aside() -> Iterator[None]:
    """What is made in the block is not looked at, by any later collection either, until `rows_let_go`."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def rows_let_go() -> None:
    """The collector goes through everything again that is still there."""
    gc.unfreeze()
