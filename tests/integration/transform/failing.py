"""A drain that is cut off at a step."""

from collections.abc import Callable
from typing import Any

from transform.source.outbox import Outbox


class Interruption(Exception):
    """The Lambda's end, at a step that a test chose."""


class Failing:
    """An outbox that fails before, or after, its n-th call."""

    def __init__(self, outbox: Outbox, at_call: int, afterwards: bool) -> None:
        self._outbox = outbox
        self._left = at_call
        self._afterwards = afterwards

    @property
    def source(self) -> str:
        return self._outbox.source

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: object) -> object:
            self._left -= 1
            if self._left == 0 and not self._afterwards:
                raise Interruption(name)
            answer = getattr(self._outbox, name)(*arguments)
            if self._left == 0 and self._afterwards:
                raise Interruption(name)
            return answer

        return call
