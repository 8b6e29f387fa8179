"""Whose output a log is: a mark on the file, which only root can set and read (trusted.* of
xattr(7)). The name of a log is that of a domain, which may go from one tenant to another."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from emperor.linux.append_only import unset_append_only
from emperor.linux.processes import open_log

_MARK = "trusted.emperord.uid"
_ROOT = 0
# Of a larger log the end is read. It may have a hole of terabytes before that.
MOST_READ = 1 << 20
# What a follower is sent at once. An app can write faster than the daemon should copy.
MOST_FOLLOWED = 1 << 18


@dataclass(frozen=True, slots=True)
class Place:
    """How far a log was read: the file, by device and inode, and the offset of the next byte."""

    file: tuple[int, int]
    offset: int


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a log, and the place after them."""

    text: bytes
    end: Place

    @property
    def lines(self) -> tuple[str, ...]:
        """The text by lines, which end with a line feed alone."""
        lines = self.text.decode(errors="replace").removesuffix("\n").split("\n")
        return tuple(line.removesuffix("\r") for line in lines) if self.text else ()


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


def read_end(path: str, lines: int, reader: int | None, most: int = MOST_READ) -> Part | None:
    """The last lines of a log, among its last `most` bytes, for the user `reader`; for None, an
    administrator. Returns None where there is no log, or none of that user."""
    with suppress(OSError), _opened_for(reader, path) as (fd, info):
        found = os.pread(fd, most, max(0, info.st_size - most)).splitlines(keepends=True)
        last = b"".join(found[len(found) - min(lines, len(found)) :])
        return Part(last, Place(_file(info), info.st_size))
    return None


def read_on(path: str, start: Place, reader: int | None, most: int = MOST_FOLLOWED) -> Part:
    """What was appended to a log since it was read up to `start`, for that user. A log that was
    truncated, or that is another file by now, is read from its beginning. Of more than `most` bytes
    the last lines are read, after a line about the bytes before them. A log that is not there, or
    not this user's, has nothing new."""
    with suppress(OSError), _opened_for(reader, path) as (fd, info):
        is_same = start.file == _file(info) and start.offset <= info.st_size
        begin = start.offset if is_same else 0
        left_out = max(0, info.st_size - begin - most)
        text = os.pread(fd, most, begin + left_out)
        end = Place(_file(info), begin + left_out + len(text))
        return Part(_without_half_a_line(text, left_out) if left_out else text, end)
    return Part(b"", start)


def _without_half_a_line(text: bytes, left_out: int) -> bytes:
    """The whole lines of a text, after a line about what was left out before them."""
    half, newline, rest = text.partition(b"\n")
    if newline:
        left_out, text = left_out + len(half) + 1, rest
    return b"--- emperord leaves out %d bytes here ---\n" % left_out + text


@contextmanager
def _opened_for(reader: int | None, path: str) -> Iterator[tuple[int, os.stat_result]]:
    """A descriptor of a log that this user may read. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode) or (reader is not None and _owner(fd) != reader):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        yield fd, info
    finally:
        os.close(fd)


def has_no_room(path: str) -> bool:
    """Whether the disk of a log is full for all users but root."""
    with suppress(OSError):
        disk = os.statvfs(path)
        return disk.f_blocks > 0 and disk.f_bavail == 0
    return False


def _file(info: os.stat_result) -> tuple[int, int]:
    return info.st_dev, info.st_ino


def _owner(fd: int) -> int | None:
    with suppress(OSError, ValueError):
        return int(os.getxattr(fd, _MARK))
    return None


def _mark(fd: int, uid: int) -> None:
    os.setxattr(fd, _MARK, str(uid).encode())
