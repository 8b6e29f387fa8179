"""Looks for `emperorctl doctor` at the control groups in which a daemon has its apps, or could have
them. Changes nothing."""

import os
from contextlib import suppress
from pathlib import Path

from emperor.linux.cgroup import V2, groups_of, hierarchies_of
from emperor.linux.cpu_marks import MARK
from emperor.linux.cpu_pressure import PRESSURE
from emperor.linux.hierarchies import CONTROLLERS, places

_PROC = Path("/proc")
_ROOT = 0
_CPU, _TIME_OF_CPU = "cpu", "cpuacct"


def controllers(run_dir: Path, pid: int | None, proc: Path = _PROC) -> frozenset[str]:
    """The controllers, by their names in v2, of the groups in which the daemon `pid` has its apps;
    without a daemon, those that this machine has. Users other than root do not see all."""
    process = proc / str(pid or "self")
    found: set[str] = set()
    with suppress(OSError):
        groups, mounts = (process / "cgroup").read_text(), (process / "mountinfo").read_text()
        is_service = any(path.suffix == ".service" for _, path in groups_of(groups))
        for each in places(groups, mounts, run_dir, is_service):
            if pid is None:
                found |= frozenset() if each.is_v2 else each.controllers
            elif _is_writable(process, each.base):
                found |= _handed_down(each.base) if each.is_v2 else each.controllers
        if pid is None:
            for mount in hierarchies_of(mounts):
                found |= _listed(mount.place / "cgroup.controllers")
    return frozenset(found)


def _handed_down(base: Path) -> frozenset[str]:
    """What the groups below `base` get, which is not there before the first app."""
    if base.is_dir():
        return _listed(base / "cgroup.subtree_control")
    # A group with processes, as that of the daemon, hands down what it does already. The root group
    # alone, which has no type, can be told to hand down more.
    is_root = not (base.parent / "cgroup.type").exists()
    return _listed(base.parent / ("cgroup.controllers" if is_root else "cgroup.subtree_control"))


def _is_writable(process: Path, base: Path) -> bool:
    """Whether a daemon of root's can make groups below `base`, as it sees that."""
    if os.geteuid() != _ROOT:
        return True  # as far as this user can see
    seen = Path(f"{process}/root{base}")
    return os.access(seen if seen.is_dir() else seen.parent, os.W_OK)


def _listed(file: Path) -> frozenset[str]:
    with suppress(OSError):
        return CONTROLLERS & set(file.read_text().split())
    return frozenset()


def cannot_yield(proc: Path = _PROC, pressure: Path = PRESSURE) -> str:
    """Why no tenant can yield the CPU on this machine, in words; empty if it can."""
    if not pressure.exists():
        return f"the kernel does not tell who waits for it ({pressure})"
    with suppress(OSError):
        mounts = list(hierarchies_of((proc / "self/mountinfo").read_text()))
        # The root group of v2 has no such file, and those around services have.
        marked = [
            each
            for each in mounts
            if any(any(each.place.glob(file)) for file in (MARK, f"*/{MARK}"))
        ]
        if not marked:
            return f"no control group has the file {MARK}"
        # v2 tells the time of each group, and v1 beside this controller alone.
        telling = ({V2}, {_CPU, _TIME_OF_CPU})
        if not any(names <= each.names for each in mounts for names in telling):
            return f"the controllers {_CPU} and {_TIME_OF_CPU} are not mounted together"
        return ""
    return f"no control group has the file {MARK}"
