"""Work on many vassals leaves turns to the event loop."""

import asyncio
from collections.abc import Iterator
from itertools import count

from emperor.supervisor.slices import SLICE_SECONDS, Backlog, slices
from tests.eventually import eventually_async


class Watch:
    """A clock of which a slice has time for `pace` items."""

    def __init__(self, pace: int) -> None:
        self._moments = count()
        self._pace = pace

    def __call__(self) -> float:
        return next(self._moments) * SLICE_SECONDS / (self._pace - 0.5)


async def turns_during(done: asyncio.Event) -> int:
    """The turns that the loop had until then."""
    for turns in count():
        if done.is_set():
            return turns
        await asyncio.sleep(0)
    raise AssertionError


async def test_a_slice_ends_with_its_time() -> None:
    parts = [list(part) async for part in slices("abcdefg", Watch(pace=3))]
    assert parts == [list("abc"), list("def"), list("g")]


async def test_the_loop_has_a_turn_after_each_slice() -> None:
    done = asyncio.Event()
    turns = asyncio.create_task(turns_during(done))
    async for part in slices(range(50), Watch(pace=1)):
        list(part)
    done.set()
    assert await turns >= 50


class Handled(list[str]):
    """What a backlog has handled, and in how many slices."""

    def __init__(self, pace: int) -> None:
        super().__init__()
        self.slices = 0
        self.backlog = Backlog(self._handle, Watch(pace))

    def _handle(self, items: Iterator[str]) -> None:
        self.slices += 1
        self.extend(items)

    async def until_empty(self) -> None:
        await eventually_async(lambda: not self.backlog)


async def test_a_backlog_is_handled_in_order_and_in_slices() -> None:
    handled = Handled(pace=2)
    handled.backlog.add("abc")
    handled.backlog.add("de")
    assert not handled, "nothing is handled before the loop has a turn"
    await handled.until_empty()
    assert (handled, handled.slices) == (list("abcde"), 3)


async def test_what_waits_already_is_handled_once() -> None:
    handled = Handled(pace=1)
    handled.backlog.add("abc")
    handled.backlog.add("ca")
    await handled.until_empty()
    assert handled == list("abc")
    handled.backlog.add("a")
    await handled.until_empty()
    assert handled == list("abca")


async def test_an_error_keeps_nothing_else_from_being_handled() -> None:
    seen: list[str] = []

    def handle(items: Iterator[str]) -> None:
        for item in items:
            seen.append(item)
            if item == "a":
                raise ZeroDivisionError

    loop = asyncio.get_running_loop()
    errors: list[object] = []
    loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
    backlog = Backlog(handle, Watch(pace=10))
    backlog.add("abc")
    await eventually_async(lambda: not backlog)
    loop.set_exception_handler(None)
    assert (seen, [type(error) for error in errors]) == (list("abc"), [ZeroDivisionError])
