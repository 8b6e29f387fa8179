"""A control group for each process of a vassal, inside one for the vassal, inside one for its
tenant: uid-1000/v-www.example.com/123.

The process enters its group before it runs anything of the tenant's, and nothing that it starts
can leave the group. So the group ends all of it: what has left the process group by setsid(2) or by
forking twice, too. A group is made at a start and removed at the end; an app that sleeps has none,
and its tenant one only while memory is left that counts there.
"""

import errno
import logging
import os
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from emperor.linux import cgroup
from emperor.linux.cgroup import kill_members, kill_others, members
from emperor.linux.cpu_marks import CpuMarks
from emperor.linux.fork_counts import ForkCounts
from emperor.linux.group_names import app_of, tenant_of
from emperor.linux.hierarchies import (
    Hierarchies,
    Hierarchy,
    find_hierarchies,
    hand_down,
    number_in,
    prepare,
    put,
)
from emperor.linux.left_memory import LeftMemory, remove_tenants
from emperor.linux.limit_files import Level, files
from emperor.linux.limit_hits import HitCounter
from emperor.model.limit_hits import Hit
from emperor.model.limits import Limits, within
from emperor.model.ports import CannotLaunch

log = logging.getLogger("emperord.groups")

_PROCESSES = "cgroup.procs"
# Between two tries to remove a group whose processes are dying; each one takes twice as long.
_AGAIN_SECONDS = 0.01
_LONGEST_AGAIN_SECONDS = 1.0
_MOST_TRIES = 40
_MOST_SLEEPS = 10
_GONE = (errno.ENOENT, errno.ENODEV)
_CURES = {
    errno.EAGAIN: "raise cgroup.max.descendants of a group above it",
    errno.EROFS: "its unit must not have ProtectControlGroups=yes",
    errno.EACCES: "its unit must have Delegate=yes",
    errno.ENOENT: "start emperord-apps.service, or restart emperord",
}
_ANY_CURE = "look at it with systemd-cgls"
# What the shell calls itself in its errors, and its exit status where it cannot enter a group.
ENTERING, NOT_ENTERED = "emperord", 125
# Of an app. The daemon's protection from the kernel's OOM killer is not for apps.
OOM_SCORE_ADJ = 100
# In a group's file 0 stands for the writer. dash(1) exports a PWD of its own.
_ENTER = f"""
ulimit -S -n "$1" && ulimit -H -n "$2" || exit {NOT_ENTERED}
shift 2
left=$1
while shift && [ "$left" -gt 0 ]; do echo 0 >"$1" || exit {NOT_ENTERED}; left=$((left - 1)); done
echo {OOM_SCORE_ADJ} >/proc/self/oom_score_adj
unset PWD OLDPWD left
exec "$@"
"""


def control_groups(
    environment: Mapping[str, str], run_dir: Path, of_tenant: Limits, loop: AbstractEventLoop
) -> "ControlGroups":
    """The groups for the vassals of this daemon. Logs which limits have no effect here."""
    found = find_hierarchies(environment, run_dir)
    if not found.usable:
        log.warning(
            "cannot make control groups, so apps are held by their process groups alone, and limits"
            " have no effect: %s",
            found.problem or "none is mounted",
        )
    elif found.missing:
        log.warning(
            "cannot limit %s of apps: %s",
            ", ".join(sorted(found.missing)),
            found.problem or "no control group with these can be made here; see docs/limits.md",
        )
    for hierarchy in found.usable:
        # A daemon that does not start leaves nothing. The first app makes it again.
        if not hierarchy.is_delegated:
            _remove(hierarchy.base)
    return ControlGroups(found, of_tenant, loop)


class ControlGroups:
    """Makes the groups of vassals. Without a usable hierarchy it makes none. `of_tenant` are the
    limits of each tenant."""

    def __init__(
        self, hierarchies: Hierarchies, of_tenant: Limits, loop: AbstractEventLoop
    ) -> None:
        self._hierarchies = hierarchies.usable
        self._of_tenant = of_tenant
        self.hits = HitCounter(hierarchies.usable)
        self.marks = CpuMarks(hierarchies.usable, of_tenant)
        self.forks = ForkCounts(hierarchies.usable)
        self.left = LeftMemory(hierarchies.usable, loop)
        self._loop = loop
        self._in_use: set[str] = set()
        # To be called when a process gets a group, or has one.
        self.on_use: Callable[[], None] = lambda: None

    @property
    def can_make(self) -> bool:
        """Whether groups can be made."""
        return bool(self._hierarchies)

    def group(self, name: str) -> "ControlGroup | None":
        """The group of that name, which is not made yet. None where groups cannot be made, or for
        no name."""
        if not self._hierarchies or not name:
            return None
        self._in_use.add(name)
        self.on_use()
        return ControlGroup(name, self)

    def adopted(self, name: str) -> "ControlGroup | None":
        """The control group `name`, which exists already. None where groups cannot be made, or for
        no name."""
        group = self.group(name)
        if group is not None:
            self.hits.begin(name)
        return group

    def make(self, name: str, limits: Limits) -> None:
        """Make the group and the ones around it, with the limits of its app. Raises
        CannotLaunch."""
        try:
            try:
                is_new = self._make(name, limits)
            except OSError as error:
                if error.errno not in _GONE:
                    raise
                # There is no base group yet, or it is gone: systemd removes it with its unit.
                for hierarchy in self._hierarchies:
                    prepare(hierarchy)
                is_new = self._make(name, limits)
        except OSError as error:
            cure = _CURES.get(error.errno or 0, _ANY_CURE)
            raise CannotLaunch(
                f"cannot make the control group {error.filename}: {error.strerror}; {cure}"
            ) from error
        self.hits.begin(name, is_new=is_new)

    def folders(self, name: str) -> list[Path]:
        """Where the group is, in each hierarchy; in the first one its processes can be listed."""
        return [hierarchy.base / name for hierarchy in self._hierarchies]

    def entrances(self, name: str) -> list[str]:
        """The files by which a process enters the group."""
        return [f"{hierarchy.base}/{name}/{_PROCESSES}" for hierarchy in self._hierarchies]

    def memory_peak(self, name: str) -> int | None:
        """The most memory that the group has held at once, as its limits count it; None where the
        kernel does not tell, as before Linux 5.19 in v2."""
        for each in self._hierarchies:
            if "memory" in each.controllers:
                file = "memory.peak" if each.is_v2 else "memory.max_usage_in_bytes"
                return number_in(each.base / name / file)
        return None

    def kill(self, name: str) -> None:
        """SIGKILL all that is in the group."""
        self.hits.stop(name)
        _kill(self._hierarchies[0], name)

    def end(self, name: str, tries: int = 0) -> None:
        """Kill what is in a group, and remove it when that is dead."""
        if name not in self._in_use:
            return  # the daemon ends
        self.hits.forget(name)
        self.kill(name)
        if self._remove(name):
            self._in_use.discard(name)
            self.left.remove_soon(tenant_of(name))
        elif tries < _MOST_TRIES:
            delay = min(_AGAIN_SECONDS * 2**tries, _LONGEST_AGAIN_SECONDS)
            self._loop.call_later(delay, self.end, name, tries + 1)
        else:
            self._in_use.discard(name)
            log.warning("cannot remove the control group %s: its processes do not die", name)

    def sweep(self) -> None:
        """End the groups of an earlier daemon that no process of ours is in, and wait for that. The
        tenants that stay get the limits of this daemon."""
        killed: set[int] = set()
        self.marks.clear()
        for hierarchy in self._hierarchies:
            for run in self._unused(hierarchy):
                with suppress(OSError):  # it is gone
                    killed |= members(hierarchy.base / run)
                _kill(hierarchy, run)
        # For all of them together: processes that do not die hold up a stop once.
        deadline = time.monotonic() + cgroup.PATIENCE_SECONDS
        for hierarchy in self._hierarchies:
            for run in self._unused(hierarchy):
                _kill_and_wait(hierarchy.base / run, deadline)
                self._remove_soon(run, deadline)
            # What a daemon has left that died between two of the steps that make a group.
            for empty in hierarchy.base.glob("uid-*/v-*/"):
                _remove(empty)
            for tenant in hierarchy.base.glob("uid-*/"):
                (self.left.remove_soon if killed else self.left.remove)(tenant.name)
            for tenant in hierarchy.base.glob("uid-*/"):
                try:
                    _limit(hierarchy, tenant.name, Level.TENANT, self._of_tenant)
                except OSError as error:
                    log.warning("cannot limit the control group %s: %s", tenant, error.strerror)
        if killed:
            log.info("killed %d processes that were left in control groups of apps", len(killed))

    def let_end(self, app: str, seconds: float) -> None:
        """Leave the processes of that app's groups that an earlier daemon has made so long to end
        by themselves."""
        for name in {run for each in self._hierarchies for run in self._unused(each)}:
            if app_of(name) == app:
                self._in_use.add(name)
                self._loop.call_later(seconds, self.end, name)

    def close(self) -> None:
        """End all groups, and wait for that: the daemon ends."""
        self._in_use.clear()
        self.sweep()
        remove_tenants(self._hierarchies)
        for hierarchy in self._hierarchies:
            if not hierarchy.is_delegated:
                _remove(hierarchy.base)

    def _make(self, name: str, limits: Limits) -> bool:
        """Whether it was not there before."""
        tenant, vassal = tenant_of(name), app_of(name)
        limits = within(self._of_tenant, limits)
        is_new_everywhere = True
        for hierarchy in self._hierarchies:
            try:
                is_new = _mkdir(f"{hierarchy.base}/{vassal}")
            except FileNotFoundError:
                self._make_tenant(hierarchy, tenant)
                is_new = _mkdir(f"{hierarchy.base}/{vassal}")
            _limit(hierarchy, vassal, Level.VASSAL, limits, is_new)
            hand_down(hierarchy, vassal)
            is_new = _mkdir(f"{hierarchy.base}/{name}")
            _limit(hierarchy, name, Level.RUN, limits, is_new)
            is_new_everywhere &= is_new
        return is_new_everywhere

    def _make_tenant(self, hierarchy: Hierarchy, tenant: str) -> None:
        if _mkdir(f"{hierarchy.base}/{tenant}"):
            _limit(hierarchy, tenant, Level.TENANT, self._of_tenant, is_new=True)
            hand_down(hierarchy, tenant)

    def _unused(self, hierarchy: Hierarchy) -> list[str]:
        """The groups of an earlier daemon, of one process each."""
        runs = [run for run in hierarchy.base.glob("uid-*/v-*/*/") if not _is_foreign(run)]
        names = (str(run.relative_to(hierarchy.base)) for run in runs)
        return [name for name in names if name not in self._in_use]

    def _remove_soon(self, name: str, deadline: float) -> None:
        """Remove a group whose processes are dead: they leave it a moment after their end."""
        for tries in range(_MOST_SLEEPS):
            if self._remove(name) or time.monotonic() > deadline:
                return
            time.sleep(_AGAIN_SECONDS * tries)

    def _remove(self, name: str) -> bool:
        """Remove a group, and that of its app if it is empty. Whether it is gone."""
        gone = [_remove(each.base / name) for each in self._hierarchies]
        for hierarchy in self._hierarchies:
            _remove(hierarchy.base / app_of(name))
        return all(gone)


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """The group of one process and of all that it starts."""

    name: str
    groups: ControlGroups

    def make(self, limits: Limits) -> None:
        """Make it, with the limits of its app. Raises CannotLaunch."""
        self.groups.make(self.name, limits)

    @property
    def entrances(self) -> list[str]:
        """The files by which a process enters it."""
        return self.groups.entrances(self.name)

    def left_by(self, leader: int) -> int:
        """How many processes it has outside of the process group of that leader, which is dead."""
        with suppress(OSError):
            pids = members(self.groups.folders(self.name)[0])
            return sum(_process_group(pid) not in (leader, None) for pid in pids)
        return 0

    def memory_peak(self) -> int | None:
        """The most memory that it has held at once; None where that is not known."""
        return self.groups.memory_peak(self.name)

    def take_hits(self) -> list[Hit]:
        """Which limits it has reached since this was asked last."""
        return self.groups.hits.take(self.name)

    def kill(self) -> None:
        """SIGKILL all that is in it."""
        self.groups.kill(self.name)

    def close(self) -> None:
        """Kill all that is in it, and remove it as soon as that is dead."""
        self.groups.end(self.name)


def entering(
    entrances: Sequence[str], open_files: tuple[int, int], nice: int | None, argv: Sequence[str]
) -> list[str]:
    """`argv` run by a shell that has entered these groups before. It has the soft and hard limits
    on open files and the nice value, and not the daemon's protection from the kernel's OOM
    killer."""
    soft, hard = (str(each) if each >= 0 else "unlimited" for each in open_files)
    nicely = [] if not nice else ["nice", "-n", str(nice)]
    groups = [str(len(entrances)), *entrances]
    return ["/bin/sh", "-c", _ENTER, ENTERING, soft, hard, *groups, *nicely, *argv]


def _process_group(pid: int) -> int | None:
    with suppress(ProcessLookupError):
        return os.getpgid(pid)
    return None


def _is_foreign(group: Path) -> bool:
    """Whether another machine's processes are in it, such as a container's with the control groups
    of the host: the kernel shows a process of another pid namespace as 0."""
    with suppress(OSError):  # it is gone
        return 0 in members(group)
    return False


def _mkdir(folder: str) -> bool:
    """Whether it was not there before."""
    try:
        os.mkdir(folder)
    except FileExistsError:
        return False
    return True


def _limit(
    hierarchy: Hierarchy, name: str, level: Level, limits: Limits, is_new: bool = False
) -> None:
    for written in files(limits, level, hierarchy.controllers, hierarchy.is_v2):
        if is_new and written.is_usual:
            continue
        try:
            put(f"{hierarchy.base}/{name}/{written.file}", written.value)
        except FileNotFoundError:
            if not written.is_optional:
                raise


def _remove(folder: Path) -> bool:
    """Remove a group that is empty. Whether it is gone."""
    try:
        os.rmdir(folder)
    except OSError as error:
        return error.errno in _GONE
    return True


def _kill(hierarchy: Hierarchy, name: str) -> None:
    group = hierarchy.base / name
    with suppress(OSError):  # it is gone
        if hierarchy.is_v2:
            put(group / "cgroup.kill", "1")
        else:
            if "pids" in hierarchy.controllers:
                put(group / "pids.max", "0")  # so that it cannot fork faster than it is killed
            kill_members(group)


def _kill_and_wait(group: Path, deadline: float) -> None:
    try:
        kill_others(group, deadline)
    except FileNotFoundError:
        pass
    except OSError as error:
        log.warning("cannot end the processes in the control group %s: %s", group, error)
