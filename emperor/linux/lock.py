"""One daemon for one run-dir: a flock(2) that the kernel drops with the process that holds it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from emperor.linux.proc import name_of, parent_of

_MOST_BYTES = 1 << 20
# Whoever may read the file may lock it, and then no daemon starts.
_MODE = 0o600
_NAME = "emperord.lock"


class AlreadyRunning(Exception):
    """Another daemon serves this run-dir, or a process that it has left has its lock; the message
    names the pid of each."""


class RunLock:
    """Held from `__enter__` to the end of the block, or of the last process that has its `fd`.

    `held` is the descriptor of the daemon before: then the lock was never free in between. Raises
    AlreadyRunning.
    """

    def __init__(self, run_dir: Path, held: int | None = None) -> None:
        self._run_dir = run_dir
        self._held = held
        self._fd = -1

    @property
    def fd(self) -> int:
        """The descriptor that holds it."""
        return self._fd

    def __enter__(self) -> Self:
        self._fd = self._open()
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            why = self._why_held()
            os.close(self._fd)
            raise AlreadyRunning(f"cannot start: {why}") from error
        _write(self._fd, str(os.getpid()), _note(self._fd))
        return self

    def _why_held(self) -> str:
        writer = os.read(self._fd, 32).decode(errors="replace").partition("\n")[0]
        holders = {*_holders(os.fstat(self._fd).st_ino)}
        # In an upgrade the daemon's own descriptor is on its way, and its child holds the lock.
        theirs = {str(pid) for pid in holders | {parent_of(pid) for pid in holders}}
        if writer in theirs or not holders:
            return f"emperord with pid {writer or 'unknown'} already serves {self._run_dir}"
        named = ", ".join(f"pid {pid} ({name_of(pid)})" for pid in sorted(holders))
        verbs, them = ("holds", "it") if len(holders) == 1 else ("hold", "them")
        return (
            f"{named} {verbs} {self._run_dir / _NAME}, inherited from emperord with pid"
            f" {writer or 'unknown'}, which is gone; end {them} by"
            f" `kill -9 {' '.join(map(str, sorted(holders)))}`"
        )

    def _open(self) -> int:
        path, fd = self._run_dir / _NAME, self._held
        if fd is not None and not (path.exists() and os.path.samestat(os.fstat(fd), path.stat())):
            os.close(fd)
            fd = None
        if fd is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(path, flags, _MODE)
        os.fchmod(fd, _MODE)  # an earlier version made it with another one
        return fd

    def __exit__(self, *_: object) -> None:
        # The file stays: to unlink it would let a third daemon lock another file of that name.
        _write(self._fd, "", _note(self._fd))
        os.close(self._fd)


class Note:
    """A few words for later daemons of the same run-dir, behind the first line of the lock's file,
    which stays when the daemon stops."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / _NAME

    def read(self) -> str:
        """The words; none where they cannot be read."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return ""
        try:
            return _note(fd)
        finally:
            os.close(fd)

    def write(self, words: str) -> None:
        """Replace the words. Raises OSError."""
        fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            first = os.pread(fd, _MOST_BYTES, 0).decode(errors="replace").partition("\n")[0]
            _write(fd, first, words)
        finally:
            os.close(fd)


def _holders(inode: int) -> Iterator[int]:
    """The pids of the processes with a descriptor that holds the lock. The kernel's list of locks
    (/proc/locks) names the one that took it, and leaves it out once that is dead."""
    for process in os.listdir("/proc"):
        with suppress(OSError):  # it is gone
            if process.isdecimal() and _holds(process, inode):
                yield int(process)


def _holds(process: str, inode: int) -> bool:
    for fd in os.listdir(f"/proc/{process}/fd"):
        with suppress(OSError):
            # Its target is not touched, which may be on a server that does not answer.
            if _NAME not in os.readlink(f"/proc/{process}/fd/{fd}"):
                continue
            lines = Path(f"/proc/{process}/fdinfo/{fd}").read_text().splitlines()
            if any(line.startswith("lock:") and f":{inode} " in line for line in lines):
                return True
    return False


def _note(fd: int) -> str:
    return os.pread(fd, _MOST_BYTES, 0).decode(errors="replace").partition("\n")[2]


def _write(fd: int, first: str, note: str) -> None:
    data = f"{first}\n{note}".encode() if first or note else b""
    os.ftruncate(fd, 0)
    os.pwrite(fd, data, 0)
