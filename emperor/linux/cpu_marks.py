"""What tenants use of the CPU, and the mark by which the kernel has a control group yield it to all
others: cpu.idle (Linux 5.15, Documentation/admin-guide/cgroup-v2.rst)."""

import errno
import os
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from emperor.linux.hierarchies import Hierarchy, put
from emperor.linux.limit_files import Level, files
from emperor.model.cpu_shares import Used
from emperor.model.limits import Limits

MARK = "cpu.idle"
_MARKED, _NOT_MARKED = "1", "0"
_USUAL = {"cpu.weight": "100", "cpu.shares": "1024"}
_TICKS_IN_A_SECOND = os.sysconf("SC_CLK_TCK")
# Of the line `cpu` of /proc/stat, see proc(5); what follows is told twice, or was taken from us.
_TIMES = 7
_IDLE, _WAITING = 3, 4


@dataclass(frozen=True, slots=True)
class Look:
    """What was used until now, in seconds of one core."""

    at: float
    idle: float
    busy: float
    apps: float
    tenants: Mapping[str, float]

    def since(self, before: "Look") -> Used:
        """What was used between two looks. A group that was made anew began at 0."""
        used = {
            name: now - then if now >= (then := before.tenants.get(name, 0.0)) else now
            for name, now in self.tenants.items()
        }
        busy = max(0.0, self.busy - before.busy)
        apps = min(busy, max(0.0, self.apps - before.apps))
        capacity = busy + max(0.0, self.idle - before.idle)
        return Used(self.at - before.at, capacity, used, apps, busy - apps)


class CpuMarks:
    """Reads and marks the groups of tenants, and the one around them, in these hierarchies.
    `of_tenant` has the weight that a tenant gets back with its mark taken away."""

    def __init__(self, hierarchies: Collection[Hierarchy], of_tenant: Limits) -> None:
        self._of_tenant = of_tenant
        self._marked = next((each for each in hierarchies if "cpu" in each.controllers), None)
        # v1 tells the time of a group beside the controller cpuacct alone.
        self._read = next((each for each in hierarchies if each.is_v2), self._marked)
        self._tenants: frozenset[str] = frozenset()

    def check(self) -> tuple[Hierarchy, Hierarchy]:
        """Where groups are marked, and where their use is read. Raises OSError if nowhere."""
        if self._marked is None or self._read is None:
            raise OSError(errno.ENOENT, "no control group with the controller cpu can be made here")
        return self._marked, self._read

    def look(self) -> Look | None:
        """What was used until now; None while there are no apps. Reads a file for each tenant.
        Raises OSError where groups cannot be marked, or do not tell what they use."""
        marked, read = self.check()
        base, file = read.base, "cpu.stat" if read.is_v2 else "cpuacct.usage"
        if not (base.is_dir() and marked.base.is_dir()):
            return None
        (marked.base / MARK).stat()
        (base / file).stat()
        busy, idle = _machine()
        apps = _seconds_of(base / file) or 0.0
        tenants = {group.name: _seconds_of(group / file) for group in base.glob("uid-*/")}
        told = {name: seconds for name, seconds in tenants.items() if seconds is not None}
        return Look(time.monotonic(), idle, busy, apps, told)

    def mark(self, tenants: frozenset[str], all_apps: bool) -> None:
        """Have these yield, and nobody else. Those that have their mark get it again: a group may
        have been made anew."""
        if self._marked is None:
            return
        for name in self._tenants - tenants:
            self._unmark(self._marked, name)
        for name in tenants:
            _write(self._marked.base / name, _MARKED)
        self._tenants = tenants
        self._mark_base(self._marked, all_apps)

    def clear(self) -> None:
        """Take all marks away, those of an earlier daemon too. Nobody can set a weight before."""
        if self._marked is not None:
            for group in self._marked.base.glob("uid-*/"):
                self._unmark(self._marked, group.name)
            self._tenants = frozenset()
            self._mark_base(self._marked, yields=False)

    def _unmark(self, hierarchy: Hierarchy, name: str) -> None:
        if _text(hierarchy.base / name / MARK) != _MARKED:
            return
        _write(hierarchy.base / name, _NOT_MARKED)
        # The kernel has given it the usual weight.
        for written in files(self._of_tenant, Level.TENANT, {"cpu"}, hierarchy.is_v2):
            if written.file in _USUAL and not written.is_usual:
                with suppress(OSError):
                    put(hierarchy.base / name / written.file, written.value)

    def _mark_base(self, hierarchy: Hierarchy, yields: bool) -> None:
        base = hierarchy.base
        if _text(base / MARK) == (_MARKED if yields else _NOT_MARKED):
            return
        # An administrator who has given all apps another weight has decided about this.
        if not yields or any(_text(base / file) == usual for file, usual in _USUAL.items()):
            _write(base, _MARKED if yields else _NOT_MARKED)


def _write(group: Path, mark: str) -> None:
    with suppress(OSError):  # it is gone
        put(group / MARK, mark)


def _text(file: Path) -> str:
    with suppress(OSError):
        return file.read_text().strip()
    return ""


def _seconds_of(file: Path) -> float | None:
    """What a group has used, by its file cpu.stat or cpuacct.usage."""
    match _text(file).split():
        case ["usage_usec", microseconds, *_]:
            return int(microseconds) / 1e6
        case [nanoseconds]:
            return int(nanoseconds) / 1e9
    return None


def _machine() -> tuple[float, float]:
    """The seconds that the cores have worked, and those in which they had nothing to do."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(word) for word in file.readline().split()[1 : 1 + _TIMES]]
    idle = ticks[_IDLE] + ticks[_WAITING]
    return (sum(ticks) - idle) / _TICKS_IN_A_SECOND, idle / _TICKS_IN_A_SECOND
