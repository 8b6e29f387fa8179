"""Whose output a log is: a mark on the file, which only root can set and read (trusted.* of
xattr(7)). The name of a log is that of a domain, which may go from one tenant to another."""

import os
import stat
from contextlib import suppress

from emperor.linux.append_only import unset_append_only
from emperor.linux.processes import open_log

_MARK = "trusted.emperord.uid"
_ROOT = 0
# Of a larger log the end is read. It may have a hole of terabytes before that.
MOST_READ = 1 << 20


def open_log_of(path: str, owner: int | None) -> int:
    """The log at `path`, opened for appending by an app of that user; None: the user of the daemon.
    What an app of another user has written is set aside, under a name with the uid of that user.
    Where files take no marks, it stays, and no tenant reads it. Raises CannotLaunch."""
    fd = open_log(path)
    uid, earlier = owner or _ROOT, _owner(fd)
    # A daemon that was killed may have left it, and a process of the same app may write too.
    unset_append_only(fd)
    if uid == earlier:
        return fd
    with suppress(OSError):
        if uid != _ROOT and os.fstat(fd).st_size:
            # This fails where files take no marks.
            _mark(fd, earlier or _ROOT)
            os.rename(path, f"{path}.of-uid-{earlier or _ROOT}")
            os.close(fd)
            fd = open_log(path)
        _mark(fd, uid)
    return fd


def read_log(path: str, lines: int, reader: int | None, most: int = MOST_READ) -> bytes | None:
    """The last lines of a log, among its last `most` bytes, for the user `reader`; for None, an
    administrator. Returns None where there is no log, or none of that user."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(path, flags)
    except OSError:
        return None
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode) or (reader is not None and _owner(fd) != reader):
            return None
        found = os.pread(fd, most, max(0, info.st_size - most)).splitlines(keepends=True)
        return b"".join(found[len(found) - min(lines, len(found)) :])
    except OSError:
        return None
    finally:
        os.close(fd)


def _owner(fd: int) -> int | None:
    with suppress(OSError, ValueError):
        return int(os.getxattr(fd, _MARK))
    return None


def _mark(fd: int, uid: int) -> None:
    os.setxattr(fd, _MARK, str(uid).encode())
