"""Divides work on many vassals into slices, so that the event loop is never busy with it for long.

Between two slices the loop has a turn, in which it answers requests and handles events. A slice is
limited by time and not by number: an ini that is unchanged takes microseconds, one that is new a
fraction of a millisecond.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator
from typing import Generic, TypeVar

# An answer to a request takes some eight turns of the loop, so it waits for eight slices.
SLICE_SECONDS = 0.005

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


async def slices(
    items: Iterable[T], now: Callable[[], float] = time.monotonic
) -> AsyncIterator[Iterator[T]]:
    """The items in their order, as one iterator for each slice, which the caller must exhaust. The
    loop has a turn after each slice."""
    left = deque(items)
    while left:
        yield _slice(left.popleft, lambda: bool(left), now)
        await asyncio.sleep(0)


class Backlog(Generic[K]):
    """Items that wait to be handled: each once, in the order in which they were first added. An
    item that is added again meanwhile keeps its place.

    `handle` gets the items of one slice and must exhaust them. It is never called within `add`.
    """

    def __init__(
        self,
        handle: Callable[[Iterator[K]], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._handle = handle
        self._now = now
        self._waiting: OrderedDict[K, None] = OrderedDict()
        self._is_scheduled = False

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, items: Iterable[K]) -> None:
        """Have these handled, from the next turn of the loop on."""
        self._waiting.update(dict.fromkeys(items))
        self._schedule()

    def _schedule(self) -> None:
        if self._waiting and not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        self._is_scheduled = False
        try:
            self._handle(_slice(self._pop, lambda: bool(self._waiting), self._now))
        finally:
            self._schedule()

    def _pop(self) -> K:
        return self._waiting.popitem(last=False)[0]


def _slice(
    pop: Callable[[], T], is_left: Callable[[], bool], now: Callable[[], float]
) -> Iterator[T]:
    """Items until none is left, or the time of the slice is over."""
    end = now() + SLICE_SECONDS
    while is_left():
        yield pop()
        if now() >= end:
            return
