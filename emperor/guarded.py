"""Keeps a fault of emperord from ending the daemon: what one task of a task group raises ends all
of them. In the same way it keeps one step from skipping those after it."""

import logging
from collections.abc import Callable, Iterator
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
