"""Descriptors that a process may still open, as in one that has reached its limit."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def descriptors_left(number: int = 0) -> Iterator[None]:
    """Let this process open exactly so many descriptors more."""
    # The kernel gives the lowest free number, so the last of these is the first beyond the limit.
    taken = [os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(number + 1)]
    for fd in taken:
        os.close(fd)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[-1], hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
