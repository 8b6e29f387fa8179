"""Memory and CPU of process groups, see proc(5)."""

import os
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from emperor.linux.proc import RSS_PAGES, USED_TICKS, state_fields
from emperor.linux.timed_query import ask_each

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_IN_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage of a whole group: resident bytes (shared pages count in each process) and CPU
    seconds. Reaped children count, so that it does not fall when a worker respawns."""

    rss_bytes: int
    cpu_seconds: float


def usage(groups: Collection[int]) -> dict[int, Usage]:
    """The usage of each process group that has a process, in one pass over all processes.

    It takes some 0.03 ms for each process, so call it in a thread.
    """
    wanted = frozenset(groups)
    rss, cpu = dict.fromkeys(wanted, 0), dict.fromkeys(wanted, 0.0)
    found = set()
    members = _members(wanted)
    for pid, of_process in ask_each(tuple(members), _usage_of):
        group = members[pid]
        rss[group] += of_process.rss_bytes
        cpu[group] += of_process.cpu_seconds
        found.add(group)
    return {group: Usage(rss[group], round(cpu[group], 2)) for group in found}


def proportional(groups: Collection[int]) -> dict[int, int]:
    """The memory of each process group in bytes, of which a page that several processes share
    counts in part (PSS, proc(5)). It takes the kernel a millisecond for each process, so call it in
    a thread."""
    members = _members(frozenset(groups))
    total: Counter[int] = Counter()
    for pid, size in ask_each(tuple(members), _proportional_of):
        total[members[pid]] += size
    return dict(total)


def resident_peaks(groups: Collection[int]) -> dict[int, int]:
    """The most memory that the processes of each group which are there now have ever had resident,
    added together, in bytes. Call it in a thread."""
    members = _members(frozenset(groups))
    total: Counter[int] = Counter()
    for pid, size in ask_each(tuple(members), _peak_of):
        total[members[pid]] += size
    return dict(total)


def _members(groups: Collection[int]) -> dict[int, int]:
    """The processes of these groups, each with its group."""
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]
    return {pid: group for pid in pids if (group := _group_of(pid)) in groups}


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def _usage_of(pid: int) -> tuple[int, Usage] | None:
    """The usage of one process; None where it is gone. May wait."""
    # psutil takes more than twice the CPU time, and the console asks at each refresh.
    fields = state_fields(pid)
    if not fields:
        return None
    ticks = sum(map(int, fields[USED_TICKS]))
    return pid, Usage(int(fields[RSS_PAGES]) * _PAGE_BYTES, ticks / _TICKS_IN_A_SECOND)


def _proportional_of(pid: int) -> tuple[int, int] | None:
    """The PSS of one process; None where it is gone. May wait."""
    return _kilobytes(pid, "smaps_rollup", b"Pss:")


def _peak_of(pid: int) -> tuple[int, int] | None:
    """The most that one process has had resident; None where it is gone. May wait."""
    return _kilobytes(pid, "status", b"VmHWM:")


def _kilobytes(pid: int, name: str, key: bytes) -> tuple[int, int] | None:
    """A process, and the number beside a key in a file of its, in bytes; None where that is gone.
    The file may have the name of the program, which may be anything."""
    with suppress(OSError), open(f"/proc/{pid}/{name}", "rb") as file:
        for line in file:
            if line.startswith(key):
                return pid, int(line.split()[1]) << 10
    return None


def proportional_memory(pids: Collection[int]) -> int | None:
    """The memory of these processes in bytes, of which a page that several processes share counts
    in part (PSS, proc(5)); None where it cannot be read, or the kernel does not tell it in time. It
    takes long, so call it in a thread."""
    sizes = ask_each(tuple(pids), _proportional_of)
    return sum(size for _, size in sizes) if len(sizes) == len(pids) else None
