"""Whose output a log is: a mark on the file, which only root can set and read (trusted.* of
xattr(7)). The name of a log is that of a domain, which may go from one tenant to another. Another
mark closes a log to its app for a while."""

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from emperor.linux.append_only import changeable, unset_append_only
from emperor.linux.processes import open_log
from emperor.model.ports import CannotLaunch

MARK = "trusted.emperord.uid"
# When its app has misused it, by time(2).
_MISUSED = "trusted.emperord.misuse"
# A tenant can have its app started again at any time, and the app would go on at once.
CLOSED_SECONDS = 3600.0
_ROOT = 0
# Of a larger log the end is read. It may have a hole of terabytes before that.
MOST_READ = 1 << 20
# A slow reader is sent the end of a log in pieces, so that it costs the daemon no more than this.
MOST_AT_ONCE = 1 << 16
# What a follower is sent at once. An app can write faster than the daemon should copy.
MOST_FOLLOWED = 1 << 18


@dataclass(frozen=True, slots=True)
class LogPosition:
    """How far a log was read: the file, by device and inode, and the offset of the next byte."""

    file: tuple[int, int]
    offset: int


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a log, and the position after them."""

    text: bytes
    end: LogPosition

    @property
    def lines(self) -> tuple[str, ...]:
        """The text by lines, which end with a line feed alone."""
        lines = self.text.decode(errors="replace").removesuffix("\n").split("\n")
        return tuple(line.removesuffix("\r") for line in lines) if self.text else ()


def open_log_of(path: str, owner: int | None) -> int:
    """The log at `path`, opened for appending by an app of that user; None: the user of the daemon.
    What an app of another user has written is set aside, under a name with the uid of that user.
    Where files take no marks, it stays, and no tenant reads it. Raises CannotLaunch, also where the
    log is closed to the app."""
    fd = open_log(path)
    uid, earlier = owner or _ROOT, _owner(fd)
    # A daemon that was killed may have left it, and a process of the same app may write too.
    unset_append_only(fd)
    if uid == earlier:
        if (wait := _closed_for(fd)) > 0:
            os.close(fd)
            raise CannotLaunch(
                f"cannot give {path} to its app for {wait / 60:.0f} more minutes: it has reserved"
                " space in it"
            )
        return fd
    with suppress(OSError):
        size = os.fstat(fd).st_size
        # A tenant may still hold the file, also an empty one.
        if earlier or _was_misused(fd) or (uid != _ROOT and size):
            # This fails where files take no marks.
            _mark(fd, earlier or _ROOT)
            if size:
                os.rename(path, f"{path}.of-uid-{earlier or _ROOT}")
            else:
                os.unlink(path)
            os.close(fd)
            fd = open_log(path)
        _mark(fd, uid)
    return fd


def close_to_its_app(path: Path) -> None:
    """Give a log to no further process of its app for a while, where files take marks."""
    with suppress(OSError), _opened_for(None, str(path)) as (fd, _), changeable(fd):
        os.setxattr(fd, _MISUSED, str(int(time.time())).encode())


def read_end(path: str, lines: int, reader: int | None, most: int = MOST_READ) -> Part | None:
    """The last lines of a log, among its last `most` bytes, for the user `reader`; for None, an
    administrator. Returns None where there is no log, or none of that user."""
    with suppress(OSError), _opened_for(reader, path) as (fd, info):
        found = os.pread(fd, most, max(0, info.st_size - most)).splitlines(keepends=True)
        last = b"".join(found[len(found) - min(lines, len(found)) :])
        return Part(last, LogPosition(_file(info), info.st_size))
    return None


def find_end(path: str, lines: int, reader: int | None) -> tuple[LogPosition, LogPosition] | None:
    """Where the last lines of a log begin, among its last MOST_READ bytes, and where they end.
    Returns None where there is no log, or none of that user; for None, an administrator."""
    with suppress(OSError), _opened_for(reader, path) as (fd, info):
        end = LogPosition(_file(info), info.st_size)
        return replace(end, offset=_beginning(fd, info.st_size, lines)), end
    return None


def _beginning(fd: int, size: int, lines: int) -> int:
    """The offset of the last lines of a file."""
    least = max(0, size - MOST_READ)
    if lines == 0 or size == 0:
        return size
    # The line break before them is wanted, and the last line may have one of its own.
    wanted = lines + (os.pread(fd, 1, size - 1) == b"\n")
    end = size
    while end > least:
        begin = max(least, end - MOST_AT_ONCE)
        piece = os.pread(fd, end - begin, begin)
        if (breaks := piece.count(b"\n")) >= wanted:
            at = len(piece)
            for _ in range(wanted):
                at = piece.rindex(b"\n", 0, at)
            return begin + at + 1
        wanted, end = wanted - breaks, begin
    return least


def read_piece(path: str, start: LogPosition, end: LogPosition, reader: int | None) -> Part:
    """At most MOST_AT_ONCE bytes of a log between two positions. Nothing where the log was
    truncated, is another file by now, or is not this user's."""
    with suppress(OSError), _opened_for(reader, path) as (fd, info):
        if start.file == _file(info):
            text = os.pread(fd, min(MOST_AT_ONCE, end.offset - start.offset), start.offset)
            return Part(text, replace(start, offset=start.offset + len(text)))
    return Part(b"", start)


def read_on(path: str, start: LogPosition, reader: int | None, most: int = MOST_FOLLOWED) -> Part:
    """What was appended to a log since it was read up to `start`, for that user. A log that was
    truncated, or that is another file by now, is read from its beginning. Of more than `most` bytes
    the last lines are read, after a line about the bytes before them. A log that is not there, or
    not this user's, has nothing new."""
    with suppress(OSError), _opened_for(reader, path) as (fd, info):
        is_same = start.file == _file(info) and start.offset <= info.st_size
        begin = start.offset if is_same else 0
        left_out = max(0, info.st_size - begin - most)
        text = os.pread(fd, most, begin + left_out)
        end = LogPosition(_file(info), begin + left_out + len(text))
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
        return int(os.getxattr(fd, MARK))
    return None


def _closed_for(fd: int) -> float:
    """The seconds for which a log is still closed to its app."""
    with suppress(OSError, ValueError):
        since = time.time() - float(os.getxattr(fd, _MISUSED))
        # The clock of the machine may have been set back.
        return CLOSED_SECONDS - since if since >= 0 else 0.0
    return 0.0


def _was_misused(fd: int) -> bool:
    with suppress(OSError):
        return bool(os.getxattr(fd, _MISUSED))
    return False


def _mark(fd: int, uid: int) -> None:
    os.setxattr(fd, MARK, str(uid).encode())
