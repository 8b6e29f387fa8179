"""The control group that systemd made for this service: it holds every process that an app has
started, also those that left the app's process group by setsid(2)."""

import os
import re
import select
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

# What /proc/PID/cgroup calls the hierarchy of v2, and systemd's own hierarchy of v1.
V2, OF_SYSTEMD = "", "name=systemd"
TRACKING = frozenset({V2, OF_SYSTEMD})
# A process in an uninterruptible system call dies later, or never.
PATIENCE_SECONDS = 5.0


def service_group(environment: Mapping[str, str]) -> Path | None:
    """The folder of that group, in v2 or in systemd's own hierarchy of v1. None unless systemd
    started this very process as a service: any other group holds what is not ours.

    Raises OSError.
    """
    # systemd.exec(5): tells a service's own process from a descendant that inherited this.
    if environment.get("SYSTEMD_EXEC_PID") != str(os.getpid()):
        return None
    groups = Path("/proc/self/cgroup").read_text()
    for group in service_groups(groups, Path("/proc/self/mountinfo").read_text()):
        if os.getpid() in members(group):
            return group
    return None


def service_groups(groups: str, mounts: str) -> Iterator[Path]:
    """The folders of a process's groups, from the texts of its /proc/PID/cgroup and
    /proc/PID/mountinfo (see proc(5)): those of services, in the hierarchies by which systemd tracks
    them."""
    hierarchies = list(hierarchies_of(mounts))
    for names, path in groups_of(groups):
        if path.suffix == ".service" and names <= TRACKING:
            for mount in hierarchies:
                if (folder := mount.folder_of(names, path)) is not None:
                    yield folder


def groups_of(groups: str) -> Iterator[tuple[frozenset[str], Path]]:
    """The group of a process in each hierarchy, from the text of its /proc/PID/cgroup: the names of
    the hierarchy, and the path in it."""
    for line in groups.splitlines():
        _, names, path = line.split(":", 2)
        yield frozenset(names.split(",")), Path(path)


def kill_others(group: Path, deadline: float | None = None) -> int:
    """SIGKILL all processes of a group except this one, and wait for their end, until `deadline` in
    monotonic seconds or for PATIENCE_SECONDS. Returns their number.

    Raises OSError, TimeoutError if some do not die or are replaced ever again.
    """
    killed = 0
    deadline = time.monotonic() + PATIENCE_SECONDS if deadline is None else deadline
    while others := members(group) - {os.getpid()}:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(others)} processes do not die, {min(others)} for one")
        killed += _kill(others, group, deadline)
    return killed


def kill_members(group: Path) -> None:
    """SIGKILL all processes of a group except this one. Does not wait. Raises OSError."""
    _kill(members(group) - {os.getpid()}, group, 0.0)


def _kill(pids: set[int], group: Path, deadline: float) -> int:
    """Kill these processes, and wait until they are dead or the deadline has passed. Returns how
    many were killed."""
    killed = dead = 0
    deaths = select.poll()
    with ExitStack() as stack:
        for pid in pids:
            with suppress(ProcessLookupError):
                pidfd = os.pidfd_open(pid)
                stack.callback(os.close, pidfd)
                # The number may have become another's before the descriptor was opened.
                if pid in members(group):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    deaths.register(pidfd, select.POLLIN)
                    killed += 1
        while dead < killed and (left := deadline - time.monotonic()) > 0:
            for pidfd, _ in deaths.poll(left * 1000):
                deaths.unregister(pidfd)
                dead += 1
    return killed


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount of a hierarchy: the group `root` is at `place`. `names` has what /proc/PID/cgroup
    calls the hierarchy: V2, or in v1 the controllers or the name=.

    `root` need not be the hierarchy's own: systemd 254 and later give a service its file
    memory.pressure as a mount of its own, and containers see a part of the hierarchy.
    """

    names: frozenset[str]
    root: Path
    place: Path

    def folder_of(self, names: frozenset[str], path: Path) -> Path | None:
        """Where the group `path` of the hierarchy `names` is; None if it is not below here."""
        if names <= self.names and path.is_relative_to(self.root):
            return self.place / path.relative_to(self.root)
        return None


def hierarchies_of(mounts: str) -> Iterator[Mount]:
    """All mounts of hierarchies, from the text of /proc/PID/mountinfo."""
    for line in mounts.splitlines():
        mount, _, kind = line.partition(" - ")
        root, place = (_unescaped(word) for word in mount.split()[3:5])
        match kind.split():
            case ["cgroup2", *_]:
                yield Mount(frozenset({V2}), root, place)
            case ["cgroup", _, options]:
                yield Mount(frozenset(options.split(",")), root, place)


def _unescaped(word: str) -> Path:
    """The kernel writes spaces and backslashes of a path as three octal digits."""
    return Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), word))


def members(group: Path) -> set[int]:
    """The processes in a group, without those in groups below it. Raises OSError."""
    return {int(pid) for pid in (group / "cgroup.procs").read_text().split()}
