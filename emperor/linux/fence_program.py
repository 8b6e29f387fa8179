"""A program of its own: kills processes at their deadlines, unless these are moved in time.

The daemon may be stopped, or hang, for longer than its lease on an app lasts; then only another
process can end the app. It reads messages from the socket that is its standard input: who is to be
killed, and when by the clock of the boot, which goes on while the machine sleeps. A long message is
in a file whose descriptor is sent. Each message replaces the one before. It imports the standard
library alone, and ends if it has nothing to do.
"""

import ctypes
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import NamedTuple

_LINGER_SECONDS = 60.0
_CLOCK_BOOTTIME, _ABSOLUTE, _CLOEXEC = 7, 1, os.O_CLOEXEC
_MESSAGE_BYTES = 1 << 20


class _Spec(ctypes.Structure):
    """struct itimerspec."""

    _fields_ = (
        ("interval_s", ctypes.c_long), ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long), ("value_ns", ctypes.c_long),
    )  # fmt: skip


class _App(NamedTuple):
    pidfd: int
    group: str
    deadline: float


def _has_ended(app: _App) -> bool:
    poll = select.poll()
    poll.register(app.pidfd, select.POLLIN)
    return bool(poll.poll(0))


def _kill(pid: int, app: _App) -> None:
    with suppress(OSError):
        # The pid is that of the process as long as nobody has waited for it.
        if not _has_ended(app):
            signal.pidfd_send_signal(app.pidfd, signal.SIGKILL)
            os.killpg(pid, signal.SIGKILL)
    if app.group:
        with suppress(OSError), open(f"{app.group}/cgroup.kill", "w", encoding="ascii") as file:
            file.write("1")


class Fence:
    """Who is to be killed. A process is known by its pidfd, so that no other one is hit."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.timer = self._libc.timerfd_create(_CLOCK_BOOTTIME, _CLOEXEC)
        self._apps: dict[int, _App] = {}

    @property
    def is_empty(self) -> bool:
        """Whether it has nothing to do."""
        return not self._apps

    def take(self, apps: list[tuple[int, str, float]]) -> None:
        """Kill these, which lead process groups, each at its moment. Beside the pid stands the
        folder of the control group of the app, empty where it has none."""
        wanted = {pid: (group, deadline) for pid, group, deadline in apps}
        for pid in list(self._apps):
            # An earlier process may have had the same number.
            if pid not in wanted or _has_ended(self._apps[pid]):
                os.close(self._apps.pop(pid).pidfd)
        for pid, (group, deadline) in wanted.items():
            with suppress(OSError):  # it has ended
                known = self._apps.get(pid)
                pidfd = known.pidfd if known else os.pidfd_open(pid)
                self._apps[pid] = _App(pidfd, group, deadline)
        self._set()

    def kill(self) -> None:
        """Kill the apps whose deadline is there."""
        os.read(self.timer, 8)
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        for pid, app in list(self._apps.items()):
            if app.deadline <= now:
                _kill(pid, app)
                os.close(self._apps.pop(pid).pidfd)
        self._set()

    def _set(self) -> None:
        moment = min((app.deadline for app in self._apps.values()), default=0.0)
        whole = int(moment)
        spec = _Spec(0, 0, whole, int((moment - whole) * 1e9))
        if self._libc.timerfd_settime(self.timer, _ABSOLUTE, ctypes.byref(spec), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")


def _next(messages: socket.socket) -> bytes:
    data, fds, _, _ = socket.recv_fds(messages, _MESSAGE_BYTES, 1)
    if not fds:
        return data
    with open(fds[0], "rb") as file:
        # Sender and receiver share the position, which is at the end.
        file.seek(0)
        return file.read()


def main() -> None:
    """Serve until told to end, or until there was nothing to do for a while."""
    # Each app takes a descriptor.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    messages, fence = socket.socket(fileno=sys.stdin.fileno()), Fence()
    poll = select.poll()
    poll.register(messages, select.POLLIN)
    poll.register(fence.timer, select.POLLIN)
    idle_since = time.monotonic()
    while not fence.is_empty or time.monotonic() - idle_since < _LINGER_SECONDS:
        ready = {fd for fd, _ in poll.poll(_LINGER_SECONDS * 1000 if fence.is_empty else None)}
        if messages.fileno() in ready:
            told = json.loads(_next(messages))
            if told == "end":
                return
            fence.take(told)
            idle_since = time.monotonic()
        if fence.timer in ready:
            with suppress(BlockingIOError):
                fence.kill()
            idle_since = time.monotonic()


if __name__ == "__main__":
    main()
