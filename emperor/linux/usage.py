"""Memory and CPU of process groups."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from importlib import import_module

from emperor.linux.ask import ask_each

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage of a whole group: resident bytes (shared pages count in each process) and CPU
    seconds. Reaped children count, so that it does not fall when a worker respawns."""

    rss_bytes: int
    cpu_seconds: float


def usage(groups: Collection[int]) -> dict[int, Usage]:
    """The usage of each process group that has a process, in one pass over all processes.

    It may wait, so call it in a thread.
    """
    wanted = frozenset(groups)
    rss, cpu = dict.fromkeys(wanted, 0), dict.fromkeys(wanted, 0.0)
    found = set()
    pids = (int(name) for name in os.listdir("/proc") if name.isdecimal())
    members = {pid: group for pid in pids if (group := _group_of(pid)) in wanted}
    for pid, of_process in ask_each(tuple(members), _usage_of):
        group = members[pid]
        rss[group] += of_process.rss_bytes
        cpu[group] += of_process.cpu_seconds
        found.add(group)
    return {group: Usage(rss[group], round(cpu[group], 2)) for group in found}


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def _usage_of(pid: int) -> tuple[int, Usage] | None:
    """The usage of one process; None where it is gone. May wait."""
    # psutil takes more than twice the CPU time, and the console asks at each refresh.
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name, the second field, may have blanks and brackets (proc(5)).
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    ticks, pages = sum(map(int, fields[11:15])), int(fields[21])
    return pid, Usage(pages * _PAGE_BYTES, ticks / _TICKS_A_SECOND)


def proportional_memory(pids: Collection[int]) -> int | None:
    """The memory of these processes in bytes, of which a page that several processes share counts
    in part (PSS, proc(5)); None where it cannot be read. It takes long, so call it in a thread."""
    psutil = import_module("psutil")  # it takes long, and a daemon that takes over is in a hurry
    try:
        total: int = sum(psutil.Process(pid).memory_full_info().pss for pid in pids)
    except psutil.Error:
        return None
    return total
