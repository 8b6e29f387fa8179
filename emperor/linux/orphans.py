"""Processes that an app started and moved out of its process group: by setsid(2), as uWSGI does
with attach-daemons, or by forking twice.

The kernel gives a process whose parent has died to the nearest ancestor that asked for such
processes. The daemon asks (PR_SET_CHILD_SUBREAPER). So it has to reap them, and can find them: what
a dead app left is among the daemon's own children. An orphan belongs to the app whose mark it has
in its environment, or whose socket it has open. A child that drops both is known only if it was
there when its app was told to stop; the end of the daemon ends it otherwise.
"""

import ctypes
import logging
import os
import signal
import time
from asyncio import AbstractEventLoop
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from emperor.linux.proc import (
    BORN_TICKS,
    STATE,
    children_of,
    environment_of,
    has_socket,
    is_dead,
    state_fields,
    user_of,
)
from emperor.linux.signals import on_signal
from emperor.linux.timed_query import ask, ask_each, when_answered

log = logging.getLogger("emperord.orphans")

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
# Between two looks at what a dead app has left. An orphan that is killed may leave orphans again.
_AGAIN_SECONDS = 0.02
# After a process that did not answer. Where no thread can ask it, it seems to answer at once.
_SILENCE_SECONDS = 0.2
_MOST_LOOKS = 100
_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Known:
    """A process that cannot be mistaken for another of the same number: `born` is the moment of its
    fork, in clock ticks since the boot; None where the kernel does not tell it in time."""

    pid: int
    born: int | None


@dataclass(frozen=True, slots=True)
class Mark:
    """What the processes of one app have: an entry of their environment, as "NAME=value", or a
    socket with that inode as their descriptor `fd`."""

    variable: str
    inode: int
    fd: int

    def is_on(self, pid: int) -> bool:
        """Whether that process has it. May wait."""
        has_it = has_socket(pid, self.inode, self.fd)
        return has_it or os.fsencode(self.variable) in environment_of(pid)


def adopt_orphans() -> None:
    """Make this process the parent of all orphans among its descendants. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def descendants(pid: int) -> list[Known]:
    """All live descendants of a process, as far as the kernel lists them."""
    return ask_each(_pids_below(pid), _look_at, _unanswered)


def _pids_below(pid: int) -> list[int]:
    found: list[int] = []
    pending = list(children_of(pid))
    while pending:
        child = pending.pop()
        found.append(child)
        pending += children_of(child)
    return found


class Reaper:
    """Reaps the orphans that the daemon got."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._waits = False
        self._spared: list[Known] = []

    def start(self, is_first: bool) -> None:
        """Reap orphans from now on. `is_first`: no earlier daemon was this very
        process. Raises OSError."""
        # A shell that became this process by exec may have started children of its own.
        self._spared = descendants(os.getpid()) if is_first else []
        adopt_orphans()
        on_signal(self._loop, signal.SIGCHLD, self._look)
        self._look()

    def end(self) -> int:
        """SIGKILL all descendants of this process, and reap them. Returns how many there were. Some
        may be left: a process in a system call that cannot be interrupted. Blocks meanwhile."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        killed: set[int] = set()
        spared = {each.pid for each in self._spared}
        while left := {*descendants(os.getpid())}.difference(self._spared):
            if time.monotonic() > deadline:
                break
            for orphan in left:
                if orphan.born is not None:
                    _kill(orphan)
                elif orphan.pid not in spared:
                    _kill_own(orphan.pid)
            killed |= {orphan.pid for orphan in left}
            time.sleep(_AGAIN_SECONDS)
            _reap_all()
        return len(killed)

    def _look(self) -> None:
        """A child has died. If it is somebody's, its pidfd is readable now, and is handled before
        the timers of the next turn of the loop."""
        if self._waits or not (dead := _first_zombie()):
            return
        try:
            pidfd = os.pidfd_open(dead)
        except OSError:
            return
        self._waits = True
        self._loop.call_later(0, self._reap, pidfd)

    def _reap(self, pidfd: int) -> None:
        self._waits = False
        with suppress(ChildProcessError):  # it was somebody's
            os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
        os.close(pidfd)
        self._look()


@dataclass(frozen=True, slots=True)
class Family:
    """The leaders of all apps, by their pids: children of the daemon that are no orphans."""

    loop: AbstractEventLoop
    leaders: set[int] = field(default_factory=set)


class OrphanHunt:
    """Ends what a dead app has left: the children of `reaper` with its mark, and all descendants of
    these. `user` is the uid of the app's processes, if it is known."""

    def __init__(self, family: Family, mark: Mark, reaper: int, user: int | None = None) -> None:
        self._loop = family.loop
        self._others = family.leaders
        self._mark = mark
        self._reaper = reaper
        self._user = user
        self._looks = 0
        self._waits = False

    def end(self, known: Collection[Known]) -> None:
        """Kill it, and those of `known` that still live. What does not answer is looked at again
        when it does: it is neither dead nor another app's."""
        self._looks += 1
        silent: list[int] = []
        earlier = [orphan.pid for orphan in known]
        left = {*ask_each(earlier, _look_at, silent.append)}.intersection(known)
        orphans = [pid for pid in children_of(self._reaper) if pid not in self._others]
        for orphan in ask_each(orphans, self._look_at_marked, silent.append):
            left |= {orphan, *descendants(orphan.pid)}
        if left and self._looks == 1:
            log.info("killed %d processes that an app has left", len(left))
        for orphan in left:
            _kill(orphan)
        if left and self._looks < _MOST_LOOKS:
            self._loop.call_later(_AGAIN_SECONDS, self.end, left)
        self._wait_for(silent, known)

    def _look_at_marked(self, pid: int) -> Known | None:
        """The process, if it lives and has the mark. May wait."""
        return _look_at(pid) if self._mark.is_on(pid) else None

    def _wait_for(self, silent: Collection[int], known: Collection[Known]) -> None:
        """Look again when the first of these processes answers that may be the app's."""
        for pid in silent:
            if not (self._waits or is_dead(pid)) and self._user in (None, user_of(pid)):
                self._waits = True
                when_answered(pid, partial(self._ask_again, known))

    def _ask_again(self, known: Collection[Known]) -> None:
        again = partial(self._loop.call_later, _SILENCE_SECONDS, self._look_again, known)
        with suppress(RuntimeError):  # the daemon has ended
            self._loop.call_soon_threadsafe(again)

    def _look_again(self, known: Collection[Known]) -> None:
        self._waits, self._looks = False, 0
        self.end(known)


def _reap_all() -> None:
    with suppress(ChildProcessError):
        while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG):
            pass


def _first_zombie() -> int | None:
    try:
        result = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return result.si_pid if result else None


def _look_at(pid: int) -> Known | None:
    """The process, None where it is dead. May wait."""
    fields = state_fields(pid)
    is_alive = bool(fields) and fields[STATE] not in "ZX"
    return Known(pid, int(fields[BORN_TICKS])) if is_alive else None


def _unanswered(pid: int) -> Known | None:
    return None if is_dead(pid) else Known(pid, None)


def _kill(orphan: Known) -> None:
    with suppress(OSError):
        pidfd = os.pidfd_open(orphan.pid)
        try:
            # The number may have become another's before the descriptor was opened.
            if ask(orphan.pid, partial(_look_at, orphan.pid), None) == orphan:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)


def _kill_own(pid: int) -> None:
    """SIGKILL a descendant of this process, whatever else the kernel does not tell of it."""
    with suppress(OSError):
        pidfd = os.pidfd_open(pid)
        try:
            if pid in _pids_below(os.getpid()):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)
