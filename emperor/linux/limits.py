"""Limits of the kernel: on open files, of this process and of its children, and on a backlog."""

import resource
import sys
from contextlib import suppress

from emperor.model.fd_budget import FdBudget


def descriptors() -> FdBudget:
    """The budget by the current limit on open files, getrlimit(2)."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return FdBudget(sys.maxsize if soft == resource.RLIM_INFINITY else soft)


def somaxconn() -> int:
    """net.core.somaxconn: how long a queue of connections may be."""
    with open("/proc/sys/net/core/somaxconn", encoding="ascii") as file:
        return int(file.read())


def raise_open_files() -> None:
    """Raise the soft limit to the hard one. It is 1,024 on most machines, for programs that still
    use select(2); a parked vassal takes one descriptor."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def limit_open_files(pid: int, limits: tuple[int, int]) -> None:
    """Give another process these limits (soft, hard), a moment after its start. Setting them in
    this process before the spawn would lower them for our threads, and prlimit(1) in between costs
    a millisecond of the start (measured)."""
    if resource.getrlimit(resource.RLIMIT_NOFILE) != limits:
        with suppress(ProcessLookupError, PermissionError):  # dead, or another user's by now
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
