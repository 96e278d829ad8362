"""Which of many items are refused, when one can only ask about any number of them at once.

With one bad item among n the answer takes about log2(n) + 3 questions: halves until it is alone, once more
to see that it fails alone, once for all that was left aside meanwhile.
"""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Probe = Callable[[Sequence[Item]], Exception | None]
"""Tries items together: None when they are taken, else what stood in the way."""


class Bisection(Generic[Item]):
    """Finds refused items, at most `most` of them.

    `is_hopeless` is asked about the first item found when no probe has passed until then: whether anything
    would be taken at all. refused: the items found, each with its own error. unexplained: whether items fail
    together of which none fails alone, or all of them fail whatever they are.
    """

    def __init__(self, probe: Probe[Item], most: int, is_hopeless: Callable[[Item], bool]) -> None:
        self._probe = probe
        self._most = most
        self._is_hopeless = is_hopeless
        self._taken = 0
        self._last: tuple[Sequence[Item], Exception | None] = ((), None)
        self.refused: list[tuple[Item, Exception]] = []
        self.unexplained = False

    def search(self, failing: Sequence[Item], untried: Sequence[Item] = ()) -> None:
        """Searches among items that are known to fail together, then among others that were not tried.

        Raises what `probe` raises.
        """
        aside = [untried] if untried else []
        while len(failing) > 1:
            middle = len(failing) // 2
            left, right = failing[:middle], failing[middle:]
            if self._fails(left):
                aside.append(right)
                failing = left
            else:
                failing = right
        if self._conclude(failing):
            self._search_rest(aside)

    def _conclude(self, alone: Sequence[Item]) -> bool:
        """Notes the item that is left; False when there is no use in searching on."""
        error = self._last[1] if self._last[0] == alone else self._answer(alone)
        if error is None:
            self.unexplained = True
            return True
        if not self._taken and not self.refused and self._is_hopeless(alone[0]):
            self.unexplained = True
            return False
        self.refused.append((alone[0], error))
        return True

    def _search_rest(self, aside: list[Sequence[Item]]) -> None:
        if not aside or self._is_enough() or not self._fails([item for part in aside for item in part]):
            return
        if len(aside) == 1:
            self.search(aside[0])
            return
        # The smallest are beside the item that was found, where others of its kind are likeliest.
        for part in reversed(aside):
            if self._is_enough():
                return
            if self._fails(part):
                self.search(part)

    def _is_enough(self) -> bool:
        return len(self.refused) >= self._most

    def _fails(self, items: Sequence[Item]) -> bool:
        return self._answer(items) is not None

    def _answer(self, items: Sequence[Item]) -> Exception | None:
        error = self._probe(items)
        self._last = items, error
        self._taken += error is None
        return error
