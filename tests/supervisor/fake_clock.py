"""A clock that a test moves by hand."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count


@dataclass(order=True)
class FakeTimer:
    """A pending call of FakeClock."""

    when: float
    number: int
    call: Callable[[], object] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        self.cancelled = True


class FakeClock:
    """A clock that stands still until a test advances it."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self._timers: list[FakeTimer] = []
        self._numbers = count()

    def time(self) -> float:
        return self.now

    def call_later(
        self, delay: float, callback: Callable[..., object], /, *args: object
    ) -> FakeTimer:
        timer = FakeTimer(self.now + delay, next(self._numbers), lambda: callback(*args))
        heapq.heappush(self._timers, timer)
        return timer

    def advance(self, seconds: float) -> None:
        """Advance the time, and call each timer when it is due."""
        end = self.now + seconds
        while self._timers and self._timers[0].when <= end:
            timer = heapq.heappop(self._timers)
            if not timer.cancelled:
                self.now = max(self.now, timer.when)
                timer.call()
        self.now = end

    @property
    def pending(self) -> int:
        """How many timers are set."""
        return sum(not timer.cancelled for timer in self._timers)
