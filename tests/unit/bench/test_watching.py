"""A look beside a block: taken again and again, ended with the block, its failure not lost."""

import threading
import time

import pytest

from bench.measure.watching import highest, watching


def test_the_look_is_taken_until_the_block_ends() -> None:
    looked: list[int] = []
    enough = threading.Event()

    def look() -> None:
        looked.append(threading.get_ident())
        if len(looked) == 3:
            enough.set()

    with watching(look, 0.001):
        assert enough.wait(10)
    ended = len(looked)
    time.sleep(0.02)
    assert len(looked) == ended
    assert threading.get_ident() not in looked


def test_the_highest_figure_is_kept() -> None:
    figures = iter([2.0, 7.0, 3.0])
    seen = threading.Event()

    def figure() -> float:
        found = next(figures, None)
        if found is None:
            seen.set()
        return found or 0.0

    with highest(figure, 0.001) as found:
        assert seen.wait(10)
    assert found.value == 7.0


def test_what_a_look_raises_is_raised_after_the_block() -> None:
    failed = threading.Event()

    def look() -> None:
        failed.set()
        raise OSError("the process is gone")

    with pytest.raises(OSError, match="the process is gone"), watching(look, 0.001):
        assert failed.wait(10)
