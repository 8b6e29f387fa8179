"""Has the kernel read files into its page cache before a process asks for them.

The files are opened with the rights of a user: the thread that does so takes the user for its own
in the file system (setfsuid(2)), and leaves all groups but that of the user. So a list that a
tenant has written reaches nothing of others. Each user has one thread at most, since a file system
may hang.
"""

import ctypes
import os
import stat
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from emperor.linux.threads import start_thread
from emperor.model.spec import Identity

_MOST_THREADS = 8
_MOST_BYTES = 512 << 20
_SAMPLES = 8
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
_LIBC = ctypes.CDLL(None)
# setgroups(2) of the kernel, which is for one thread. That of the C library is for all.
_SETGROUPS = {"x86_64": 116, "aarch64": 159, "riscv64": 159, "ppc64le": 81, "s390x": 206}


class ReadAhead:
    """Reads ahead in threads of its own."""

    def __init__(self) -> None:
        self._busy: set[int | None] = set()

    def begin(self, user: Identity | None, paths: Callable[[], Sequence[str]]) -> None:
        """Read these files ahead as that user (None: that of the daemon), unless they are in memory
        already, or files of that user are being read. `paths` is called in the thread."""
        uid = user.uid if user else None
        if uid in self._busy or len(self._busy) >= _MOST_THREADS:
            return
        self._busy.add(uid)
        thread = threading.Thread(target=self._run, args=(user, uid, paths), daemon=True)
        if not start_thread(thread):
            self._busy.discard(uid)

    def _run(
        self, user: Identity | None, uid: int | None, paths: Callable[[], Sequence[str]]
    ) -> None:
        try:
            found = paths()
            if user is not None and os.geteuid() == 0 and not _take_rights(user):
                return
            if not are_cached(found):
                read_ahead(found)
        finally:
            self._busy.discard(uid)


def _take_rights(user: Identity) -> bool:
    """Have this thread open files as that user, from now on. Whether it does."""
    number = _SETGROUPS.get(os.uname().machine)
    if number is None or _LIBC.syscall(number, 0, None) != 0:
        return False
    _LIBC.setfsgid(user.gid)
    _LIBC.setfsuid(user.uid)
    # The call returns no error, but the user that was set before.
    now: int = _LIBC.setfsuid(-1)
    return now == user.uid


def are_cached(paths: Sequence[str]) -> bool:
    """Whether all of some of these files are in memory."""
    step = max(1, len(paths) // _SAMPLES)
    return all(_is_cached(path) for path in paths[::step])


def _is_cached(path: str) -> bool:
    try:
        fd = os.open(path, _FLAGS)
    except OSError:
        return True
    try:
        os.preadv(fd, [bytearray(1)], 0, os.RWF_NOWAIT)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def read_ahead(paths: Iterable[str]) -> None:
    """Have the kernel read these files, up to a bound. It does not wait for that."""
    left = _MOST_BYTES
    for path in paths:
        with suppress(OSError):
            fd = os.open(path, _FLAGS)
            try:
                info = os.fstat(fd)
                left -= info.st_size
                if stat.S_ISREG(info.st_mode) and left >= 0:
                    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(fd)
