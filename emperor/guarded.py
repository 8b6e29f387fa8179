"""Keeps a fault of emperord from ending the daemon: what one task of a task group raises ends all
of them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def guarded(log: logging.Logger, what: str) -> Iterator[None]:
    """Log an exception of the block as "cannot WHAT: a fault in emperord", and go on after it."""
    try:
        yield
    except Exception:
        log.exception("cannot %s: a fault in emperord", what)
