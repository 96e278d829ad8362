"""A look that is taken again and again, beside what is measured."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def watching(look: Callable[[], object], pause_seconds: float) -> Iterator[None]:
    """Takes the look in a thread of its own for the length of a block, so many seconds after the last one.

    Raises what a look has raised, once the block has ended.
    """
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(pause_seconds):
            look()

    with ThreadPoolExecutor(1, "watch") as threads:
        watched = threads.submit(watch)
        try:
            yield
        finally:
            ended.set()
    watched.result()


class Highest:
    """The highest figure that has been noted."""

    def __init__(self) -> None:
        self.value = 0.0

    def note(self, figure: float) -> None:
        """Takes notice of one more."""
        self.value = max(self.value, figure)


@contextmanager
def highest(figure: Callable[[], float], pause_seconds: float) -> Iterator[Highest]:
    """The highest of a figure that is looked at for the length of a block; 0 if it ended before a look."""
    found = Highest()
    with watching(lambda: found.note(figure()), pause_seconds):
        yield found
