"""Keeps a fault of emperord from ending the daemon: what one task of a task group raises ends all
of them. In the same way it keeps one step from skipping those after it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from inspect import isawaitable


@contextmanager
def guarded(log: logging.Logger, what: str) -> Iterator[None]:
    """Log an exception of the block as "cannot WHAT: a fault in emperord", and go on after it."""
    try:
        yield
    except Exception:
        log.exception("cannot %s: a fault in emperord", what)


async def in_turn(log: logging.Logger, *steps: tuple[str, Callable[[], object]]) -> None:
    """Take these steps, each named by what it does. A fault in one is logged, and skips no other
    step."""
    for what, step in steps:
        with guarded(log, what):
            done = step()
            if isawaitable(done):
                await done


async def kept_up(
    log: logging.Logger, what: str, work: Callable[[], Awaitable[None]], retry_seconds: float
) -> None:
    """Do what lasts as long as the daemon: after a fault, again."""
    while True:
        with guarded(log, what):
            await work()
            return
        await asyncio.sleep(retry_seconds)
