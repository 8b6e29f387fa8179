"""What the kernel allows this process."""

import resource
import sys
from contextlib import suppress

from emperor.model.fd_budget import FdBudget


def descriptors() -> FdBudget:
    """By the limit on open files that holds now, getrlimit(2)."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return FdBudget(sys.maxsize if soft == resource.RLIM_INFINITY else soft)


def raise_open_files() -> None:
    """As far as this process may. The soft limit is 1,024 on most machines, for programs that still
    use select(2); a parked vassal costs one descriptor."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def limit_open_files(pid: int, limits: tuple[int, int]) -> None:
    """Give another process these limits (soft, hard). It has them a moment after its start: to set
    them here before would take them from our threads, prlimit(1) in between a millisecond from
    the start (measured)."""
    if resource.getrlimit(resource.RLIMIT_NOFILE) != limits:
        with suppress(ProcessLookupError, PermissionError):  # dead, or another user's by now
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
