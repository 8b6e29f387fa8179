"""Memory and CPU of process groups, by psutil."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from importlib import import_module

from emperor.linux.ask import ask_each


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage of a whole group: resident bytes (shared pages count in each process) and CPU
    seconds. Reaped children count, so that it does not fall when a worker respawns."""

    rss_bytes: int
    cpu_seconds: float


def usage(groups: Collection[int]) -> dict[int, Usage]:
    """The usage of each process group that has a process, in one pass over all processes.

    It takes some 0.1 ms for each process, so call it in a thread.
    """
    psutil = import_module("psutil")  # it takes long, and a daemon that takes over is in a hurry
    wanted = frozenset(groups)
    rss, cpu = dict.fromkeys(wanted, 0), dict.fromkeys(wanted, 0.0)
    found = set()
    members = {pid: group for pid in psutil.pids() if (group := _group_of(pid)) in wanted}
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
    psutil = import_module("psutil")
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        rss = process.memory_info().rss
    except psutil.Error:
        return None
    seconds = times.user + times.system + times.children_user + times.children_system
    return pid, Usage(rss, seconds)


def proportional_memory(pids: Collection[int]) -> int | None:
    """The memory of these processes in bytes, of which a page that several processes share counts
    in part (PSS, proc(5)); None where it cannot be read. It takes long, so call it in a thread."""
    psutil = import_module("psutil")
    try:
        total: int = sum(psutil.Process(pid).memory_full_info().pss for pid in pids)
    except psutil.Error:
        return None
    return total
