"""Limits of the kernel: on open files, of this process and of its children, on a backlog, and on
what the machine can hold."""

import os
import resource
import sys
from dataclasses import replace

from emperor.model.fd_budget import FdBudget
from emperor.model.machine import Machine

# LimitNOFILE= of systemd/emperord.service.
_OPEN_FILES_OF_SERVICE = 65536


def descriptors() -> FdBudget:
    """The budget by the current limit on open files, getrlimit(2)."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return FdBudget(sys.maxsize if soft == resource.RLIM_INFINITY else soft)


def somaxconn() -> int:
    """net.core.somaxconn: how long a queue of connections may be."""
    with open("/proc/sys/net/core/somaxconn", encoding="ascii") as file:
        return int(file.read())


def machine() -> Machine:
    """What this machine can hold. The limit on open files is that of the service, or the hard limit
    of this process if that is lower."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open("/proc/sys/kernel/pid_max", encoding="ascii") as pid_max:
        processes = int(pid_max.read())
    with open("/proc/sys/kernel/threads-max", encoding="ascii") as threads_max:
        processes = min(processes, int(threads_max.read()))
    return Machine(
        memory_bytes=_memory(),
        processes=processes,
        descriptors=min(
            _OPEN_FILES_OF_SERVICE, sys.maxsize if hard == resource.RLIM_INFINITY else hard
        ),
    )


def _memory() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        kilobytes = dict(line.split()[:2] for line in file)
    return (int(kilobytes["MemTotal:"]) + int(kilobytes["SwapTotal:"])) << 10


def raise_open_files() -> None:
    """Raise the soft limit to the hard one. It is 1,024 on most machines, for programs that still
    use select(2); a parked vassal takes one descriptor."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def machine_for_limits() -> Machine:
    """What a share of memory or of processes is a share of: of memory without swap."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return replace(machine(), memory_bytes=memory)
