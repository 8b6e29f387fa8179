"""The one way in which tests wait: until a condition holds, or until a process is dead on which it
depends."""

import asyncio
import subprocess
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

STEP_SECONDS = 0.005
LONGEST_STEP_SECONDS = 0.1
# How long anything may take on a machine that has much else to do. Only a failure takes so long.
PATIENCE_SECONDS = 60.0


class TookTooLong(AssertionError):
    """The condition did not hold in time."""


def _notice_deaths(processes: Iterable["subprocess.Popen[bytes]"]) -> None:
    for process in processes:
        if process.poll() is not None:
            raise AssertionError(f"{process.args!r} died with {process.returncode}")


def eventually(
    condition: Callable[[], T],
    alive: Iterable["subprocess.Popen[bytes]"] = (),
    seconds: float = PATIENCE_SECONDS,
    what: str = "",
) -> T:
    """The first true value of `condition()`. Fails after `seconds`, and at once when one of the
    processes in `alive` is dead. An AssertionError within the condition counts as not yet."""
    deadline = time.monotonic() + seconds
    while True:
        _notice_deaths(alive)
        began = time.monotonic()
        try:
            if value := condition():
                return value
            problem = ""
        except AssertionError as error:
            problem = f": {error}"
        now = time.monotonic()
        if now > deadline:
            raise TookTooLong(f"not within {seconds} s: {what or condition}{problem}")
        # A condition that starts a process must not take the processor from what it waits for.
        time.sleep(min(LONGEST_STEP_SECONDS, max(STEP_SECONDS, 2 * (now - began))))


async def eventually_async(
    condition: Callable[[], T], seconds: float = PATIENCE_SECONDS, what: str = ""
) -> T:
    """`eventually` that lets the event loop run between two looks."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TookTooLong(f"not within {seconds} s: {what or condition}")
        await asyncio.sleep(STEP_SECONDS)
    return value
