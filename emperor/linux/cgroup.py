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

# A process in an uninterruptible system call dies later, or never.
_PATIENCE_SECONDS = 5.0


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
        if os.getpid() in _members(group):
            return group
    return None


def service_groups(groups: str, mounts: str) -> Iterator[Path]:
    """The folders of a process's groups, from the texts of its /proc/PID/cgroup and
    /proc/PID/mountinfo (see proc(5)): those of services, in the hierarchies by which systemd tracks
    them."""
    hierarchies = list(_hierarchies(mounts))
    for line in groups.splitlines():
        _, hierarchy, name = line.split(":", 2)
        path = Path(name)
        if path.suffix == ".service":
            for mount in hierarchies:
                if mount.hierarchy == hierarchy and path.is_relative_to(mount.root):
                    yield mount.place / path.relative_to(mount.root)


def kill_others(group: Path) -> int:
    """SIGKILL all processes of a group except this one, and wait for their end. Returns their
    number.

    Raises OSError, TimeoutError if some do not die or are replaced ever again.
    """
    killed = 0
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while others := _members(group) - {os.getpid()}:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(others)} processes do not die, {min(others)} for one")
        killed += _kill(others, group, deadline)
    return killed


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
                if pid in _members(group):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    deaths.register(pidfd, select.POLLIN)
                    killed += 1
        while dead < killed and (left := deadline - time.monotonic()) > 0:
            for pidfd, _ in deaths.poll(left * 1000):
                deaths.unregister(pidfd)
                dead += 1
    return killed


@dataclass(frozen=True, slots=True)
class _Mount:
    """A mount of `hierarchy`, by its name in /proc/PID/cgroup: the group `root` is at `place`.

    `root` need not be the hierarchy's own: systemd 254 and later give a service its file
    memory.pressure as a mount of its own, and containers see a part of the hierarchy.
    """

    hierarchy: str
    root: Path
    place: Path


def _hierarchies(mounts: str) -> Iterator[_Mount]:
    for line in mounts.splitlines():
        mount, _, kind = line.partition(" - ")
        root, place = (_unescaped(word) for word in mount.split()[3:5])
        match kind.split():
            case ["cgroup2", *_]:
                yield _Mount("", root, place)
            case ["cgroup", _, options] if "name=systemd" in options.split(","):
                yield _Mount("name=systemd", root, place)


def _unescaped(word: str) -> Path:
    """The kernel writes spaces and backslashes of a path as three octal digits."""
    return Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), word))


def _members(group: Path) -> set[int]:
    return {int(pid) for pid in (group / "cgroup.procs").read_text().split()}
