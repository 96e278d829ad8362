"""The queue of a function's asynchronous events.

An event is given to the function until that succeeds, until its retries after function errors are used up,
or until it is too old. An event for which there is no free slot is not an error: it waits in the queue. The
queue is in memory and ends with the service, which is harsher than Lambda; the sweep must make good for it.
"""

import asyncio
import heapq
import itertools
import time
from dataclasses import dataclass, field

from local.lambda_service.concurrency import Concurrency
from local.lambda_service.destinations import Condition, Destinations
from local.lambda_service.faults import EVENT_FAULTS, Fault
from local.lambda_service.function import Function, ServiceFailed
from local.lambda_service.invocation import Invocation, Outcome, new_request_id

BACKOFF_FIRST_S = 1.0
BACKOFF_MOST_S = 300.0


@dataclass(eq=False)
class Event:
    """An event and what became of it so far. Times are of the monotonic clock."""

    invocation: Invocation
    accepted_at: float
    attempts: int = 0
    last: Outcome | None = None
    backoffs: int = 0
    throttled: bool = False
    given_up: bool = False
    expiry: asyncio.TimerHandle | None = field(default=None, repr=False)


class EventQueue:
    """Takes events and gives them to the function, the one that is due first, first."""

    def __init__(self, function: Function, concurrency: Concurrency, destinations: Destinations) -> None:
        self.function = function
        self._concurrency = concurrency
        self._destinations = destinations
        self._due: list[tuple[float, int, Event]] = []
        self._order = itertools.count()
        self._held: list[Event] = []
        self._attempts: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._closed = False
        concurrency.on_release(self._pump)

    def __len__(self) -> int:
        """How many events wait: for a slot, for a retry, or because a fault holds them."""
        return sum(not event.given_up for _, _, event in self._due) + len(self._held)

    def put(self, payload: bytes, client_context: str | None = None) -> str:
        """Accept an event. Its request id, the same over all its attempts."""
        event = Event(Invocation(payload, new_request_id(), client_context), time.monotonic())
        self.function.counts.asynchronous += 1
        fault = self.function.faults.strike(EVENT_FAULTS, payload)
        if fault:
            self._strike(event, fault)
        else:
            self._push(event)
            self._release_held()
        self._pump()
        return event.invocation.request_id

    async def close(self) -> None:
        """Give no more events to the function and wait for the attempts that run."""
        self._closed = True
        if self._alarm:
            self._alarm.cancel()
        for _, _, event in self._due:
            _disarm(event)
        while self._attempts:
            await asyncio.gather(*self._attempts)

    def _strike(self, event: Event, fault: Fault) -> None:
        counts = self.function.counts
        match fault.kind:
            case "drop":
                counts.dropped += 1
            case "duplicate":
                counts.duplicated += 1
                self._push(event)
                self._push(Event(event.invocation, event.accepted_at))
            case "delay":
                counts.delayed += 1
                self._push(event, fault.seconds)
            case _:
                counts.reordered += 1
                self._held.append(event)
                asyncio.get_running_loop().call_later(fault.seconds, self._release, event)

    def _release_held(self) -> None:
        for event in reversed(self._held):
            self._push(event)
        self._held.clear()

    def _release(self, event: Event) -> None:
        if event in self._held and not self._closed:
            self._held.remove(event)
            self._push(event)
            self._pump()

    def _push(self, event: Event, delay_s: float = 0.0) -> None:
        """Queue an event, and see to it that it does not grow too old there."""
        now = time.monotonic()
        heapq.heappush(self._due, (now + delay_s, next(self._order), event))
        left = event.accepted_at + self.function.configuration.max_event_age_s - now
        event.expiry = asyncio.get_running_loop().call_later(max(0.0, left), self._expire, event)

    def _expire(self, event: Event) -> None:
        self._give_up(event, "EventAgeExceeded")

    def _pump(self) -> None:
        """Start attempts for whatever is due, as long as there are free slots."""
        if self._closed:
            return
        while (event := self._first_due()) is not None:
            if self.function.configuration.reserved_concurrency == 0:
                self._pop()
                self._give_up(event, "ZeroReservedConcurrency")
            elif self._concurrency.try_acquire(self.function.name):
                self._start(self._pop())
            else:
                self._throttle(event)
                return
        self._set_alarm()

    def _first_due(self) -> Event | None:
        while self._due and self._due[0][2].given_up:
            heapq.heappop(self._due)
        if self._due and self._due[0][0] <= time.monotonic():
            return self._due[0][2]
        return None

    def _pop(self) -> Event:
        event = heapq.heappop(self._due)[2]
        _disarm(event)
        return event

    def _throttle(self, event: Event) -> None:
        """The event stays where it is: the next slot that becomes free pumps again."""
        if not event.throttled:
            event.throttled = True
            self.function.counts.throttles += 1

    def _set_alarm(self) -> None:
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None
        if self._due:
            delay = max(0.0, self._due[0][0] - time.monotonic())
            self._alarm = asyncio.get_running_loop().call_later(delay, self._pump)

    def _start(self, event: Event) -> None:
        task = asyncio.get_running_loop().create_task(self._attempt(event))
        self._attempts.add(task)
        task.add_done_callback(self._attempts.discard)

    async def _attempt(self, event: Event) -> None:
        try:
            outcome = await self.function.run(event.invocation)
        except ServiceFailed as failure:
            self.function.log.write(str(failure))
            self._back_off(event)
        else:
            event.attempts += 1
            event.last = outcome
            self._settle(event, outcome)
        finally:
            self._concurrency.release(self.function.name)

    def _settle(self, event: Event, outcome: Outcome) -> None:
        if self._closed:
            return
        configuration = self.function.configuration
        if outcome.error is None:
            self._destinations.send(self.function, "Success", event.invocation, event.attempts, outcome)
        elif event.attempts > configuration.retries:
            self._give_up(event, "RetriesExhausted")
        else:
            self.function.counts.retries += 1
            delays = configuration.retry_delays_s
            self._push(event, delays[min(event.attempts, len(delays)) - 1])

    def _back_off(self, event: Event) -> None:
        """The service failed, not the function: try again for as long as the event may live."""
        if not self._closed:
            self._push(event, min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2**event.backoffs))
            event.backoffs += 1

    def _give_up(self, event: Event, condition: Condition) -> None:
        _disarm(event)
        event.given_up = True
        self.function.counts.dead += 1
        self._destinations.send(self.function, condition, event.invocation, event.attempts, event.last)


def _disarm(event: Event) -> None:
    if event.expiry:
        event.expiry.cancel()
        event.expiry = None
