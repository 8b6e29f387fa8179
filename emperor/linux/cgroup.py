"""The control group that systemd made for this service: it holds every process that an app has
started, also those that left the app's process group by setsid(2)."""

import os
import select
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
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
    mounts = dict(_hierarchies())
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, hierarchy, path = line.split(":", 2)
        if hierarchy in mounts and path.endswith(".service"):
            group = mounts[hierarchy] / path.lstrip("/")
            if os.getpid() in _members(group):
                return group
    return None


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


def _hierarchies() -> Iterator[tuple[str, Path]]:
    """The hierarchies by which systemd tracks services: the name in /proc/self/cgroup and the mount
    point of each, see proc(5)."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, kind = line.partition(" - ")
        place = Path(mount.split()[4])
        match kind.split():
            case ["cgroup2", *_]:
                yield "", place
            case ["cgroup", _, options] if "name=systemd" in options.split(","):
                yield "name=systemd", place


def _members(group: Path) -> set[int]:
    return {int(pid) for pid in (group / "cgroup.procs").read_text().split()}
