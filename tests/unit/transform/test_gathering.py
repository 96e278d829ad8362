"""How long events gather: by what the writer has under way, and whether it comes along."""

import pytest

from transform import gathering
from transform.gathering import Gathering


class Moments:
    """A clock that stands still until it is moved, and a drain's looks at its writer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(gathering.time, "monotonic", lambda: self.now)
        self.gathering = Gathering(10.0)

    def gathered(self, *in_flight: int, at_most: float = 100.0) -> float:
        """The seconds that events gather, with so many under way at each look of 10 ms, the last for ever."""
        since, looks = self.now, list(in_flight)
        while not self.gathering.is_over(looks.pop(0) if len(looks) > 1 else looks[0], since):
            self.now += 0.01
            assert self.now < since + at_most
        return self.now - since


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> Moments:
    return Moments(monkeypatch)


@pytest.mark.parametrize(
    ("in_flight", "seconds"), [(0, 0.0), (1, 0.0), (2, 0.05), (3, 0.2), (4, 0.8), (5, 3.2)]
)
def test_each_batch_more_under_way_makes_events_gather_longer(
    moments: Moments, in_flight: int, seconds: float
) -> None:
    assert moments.gathered(in_flight) == pytest.approx(seconds, abs=0.015)


def test_events_gather_no_longer_once_the_writer_has_confirmed_enough(moments: Moments) -> None:
    assert moments.gathered(*[4] * 50, 2) == pytest.approx(0.5, abs=0.015)
    assert moments.gathered(*[3] * 10, 1) == pytest.approx(0.1, abs=0.015)


def test_nobody_gathers_for_a_writer_that_confirms_nothing(moments: Moments) -> None:
    waited = [moments.gathered(in_flight) for in_flight in range(2, 16)]
    assert sum(waited[:5]) == pytest.approx(10, abs=0.1)
    assert waited[5:] == pytest.approx([0.05] * 9, abs=0.015)


def test_writer_that_confirms_again_is_gathered_for_again(moments: Moments) -> None:
    for in_flight in range(2, 10):
        moments.gathered(in_flight)
    assert moments.gathered(9, 8) == pytest.approx(10, abs=0.1)


@pytest.mark.parametrize("transaction_seconds", [0.01, 0.1, 1.0, 2.0])
def test_queue_in_front_of_the_writer_is_short_however_long_it_takes(
    moments: Moments, transaction_seconds: float
) -> None:
    """A writer takes one batch at a time; a drain makes the next one as soon as it may, in 5 ms."""
    ends: list[float] = []

    def in_flight() -> int:
        return sum(end > moments.now for end in ends)

    lengths = []
    for _ in range(200):
        since = moments.now
        while not moments.gathering.is_over(in_flight(), since):
            moments.now += 0.01
        moments.now += 0.005
        ends.append(max([moments.now, *ends[-1:]]) + transaction_seconds)
        lengths.append(in_flight())
    assert max(lengths[20:]) <= 6
    assert min(lengths[20:]) >= 1
