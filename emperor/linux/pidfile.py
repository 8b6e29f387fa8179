"""Corrects a pidfile that names a process which has ended.

The path is that of an app, which may lead it to any file. So only a regular file is written that
belongs to the user who wrote it and consists of that pid, or of nothing if the process was killed
as it wrote it. It is written with the rights of that user: a pid that root writes into the
`cgroup.procs` of a user's control group moves a process out of emperord's. And it is written in a
thread, since a file system of the app may answer never.
"""

import ctypes
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from threading import enumerate as enumerate_threads

from emperor.linux.threads import start_thread
from emperor.linux.trust import who_may_turn

# Threads that wait for the file systems of one user.
_MOST_THREADS = 8


@dataclass(frozen=True, slots=True)
class PidChange:
    """A process that has ended, and the one that goes on; `uid` with `gid` wrote the pidfile."""

    ended: int
    running: int
    uid: int
    gid: int


def correct_pidfiles(paths: Iterable[str], change: PidChange) -> Thread:
    """Put the running process into each file that names the one that has ended. A file that cannot
    be corrected stays as it is, as all do of a user whose file systems let too many wait, and where
    no thread can start. Returns the thread that does it."""
    name = f"pidfile of {change.uid}"
    waiting = sum(thread.name == name for thread in enumerate_threads())
    paths = tuple(paths) if waiting < _MOST_THREADS else ()
    thread = Thread(target=_correct_all, args=(paths, change), name=name, daemon=True)
    start_thread(thread)
    return thread


def _correct_all(paths: Iterable[str], change: PidChange) -> None:
    # The thread ends after it.
    if _uses_files_as(change.uid, change.gid):
        for path in paths:
            _correct(path, change)


def _uses_files_as(uid: int, gid: int) -> bool:
    """Give this thread the rights of that user at files (setfsuid(2)), and no other right. Returns
    whether it has them."""
    libc = ctypes.CDLL(None)
    if (uid, gid) != (os.geteuid(), os.getegid()):
        for change, wanted in ((libc.setfsgid, gid), (libc.setfsuid, uid)):
            change(wanted)
            if change(-1) != wanted:  # tells what is in effect
                return False
    return True


def _correct(path: str, change: PidChange) -> None:
    with suppress(OSError):
        # This opens no device and waits for no pipe.
        handle = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            info = os.fstat(handle)
            if not stat.S_ISREG(info.st_mode) or info.st_uid != change.uid or info.st_nlink != 1:
                return
            fd = os.open(f"/proc/self/fd/{handle}", os.O_RDWR | os.O_CLOEXEC)
        finally:
            os.close(handle)
        with os.fdopen(fd, "r+b", buffering=0) as file:
            text = b"%d\n" % change.ended
            if _was_cut(path, info, change.uid):
                text = b""
            # The files of /proc and /sys have no size, or another one.
            if info.st_size == len(text) and file.read(len(text) + 1) == text:
                file.seek(0)
                # A reader finds the one pid or the other.
                file.truncate(file.write(b"%d\n" % change.running))


def _was_cut(path: str, info: os.stat_result, uid: int) -> bool:
    """Whether the process was killed as it wrote the file. An empty file of root may be one of
    /proc, unless nobody but root can change what the path leads to."""
    return info.st_size == 0 and (uid != 0 or who_may_turn(path, 0) is None)
