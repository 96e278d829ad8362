"""How many invocations may run at once: reserved by a function, or shared by those that reserve nothing."""

from collections import Counter
from collections.abc import Callable

RESERVED_REACHED = "ReservedFunctionConcurrentInvocationLimitExceeded"
SHARED_REACHED = "ConcurrentInvocationLimitExceeded"


class Concurrency:
    """The account's slots. A reservation is taken from the account and is also the function's limit."""

    def __init__(self, account: int) -> None:
        self._account = account
        self._reserved: dict[str, int | None] = {}
        self._busy: Counter[str] = Counter()
        self._waiting: list[Callable[[], None]] = []

    def reserve(self, function: str, slots: int | None) -> None:
        """Set a function's reservation; None shares what is left. What runs already goes on."""
        self._reserved[function] = slots

    def on_release(self, callback: Callable[[], None]) -> None:
        """Call back whenever a slot may have become free."""
        self._waiting.append(callback)

    def busy(self, function: str) -> int:
        """How many invocations of a function run."""
        return self._busy[function]

    def try_acquire(self, function: str) -> bool:
        """Take a slot for a function, if there is one."""
        if self._in_use(function) >= self._limit(function):
            return False
        self._busy[function] += 1
        return True

    def release(self, function: str) -> None:
        """Give a function's slot back."""
        self._busy[function] -= 1
        self.announce()

    def announce(self) -> None:
        """Let everybody who waits for a slot look again."""
        for callback in self._waiting:
            callback()

    def throttle_reason(self, function: str) -> str:
        """Lambda's name for the limit that a function runs into."""
        return SHARED_REACHED if self._reserved[function] is None else RESERVED_REACHED

    def _limit(self, function: str) -> int:
        reserved = self._reserved[function]
        if reserved is not None:
            return reserved
        return self._account - sum(slots or 0 for slots in self._reserved.values())

    def _in_use(self, function: str) -> int:
        if self._reserved[function] is not None:
            return self._busy[function]
        return sum(self._busy[name] for name, slots in self._reserved.items() if slots is None)
