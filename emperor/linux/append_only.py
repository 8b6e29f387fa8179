"""The attribute of a file that lets everybody append to it alone (`chattr +a`): no process can
truncate, rewrite or rename it, whatever descriptor it has. Only root sets it, with
CAP_LINUX_IMMUTABLE. Not every file system has it."""

import os
from asyncio import AbstractEventLoop
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from fcntl import ioctl
from pathlib import Path

# FS_IOC_GETFLAGS, FS_IOC_SETFLAGS and FS_APPEND_FL of linux/fs.h, for a long of 8 bytes.
_GET, _SET, _APPEND = 0x80086601, 0x40086602, 0x20


def set_append_only(fd: int) -> None:
    """Set the attribute, where that is possible."""
    with suppress(OSError):
        _write(fd, _read(fd) | _APPEND)


def unset_append_only(fd: int) -> bool:
    """Unset the attribute. Returns whether it was set, and is not any more."""
    with suppress(OSError):
        flags = _read(fd)
        if flags & _APPEND:
            _write(fd, flags & ~_APPEND)
            return True
    return False


def release(path: str) -> None:
    """Unset the attribute of the file at `path`, if there is one."""
    _at(path, unset_append_only)


def release_others(
    folder: Path, written: Callable[[], Collection[str]], loop: AbstractEventLoop
) -> None:
    """Unset the attribute of the files in a folder but those at the paths `written`, in a thread:
    10,000 files take 0.3 s. An app may have begun to write one meanwhile."""

    def release_all(kept: Collection[str]) -> None:
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.path not in kept:
                    release(entry.path)

    def hold_new_ones(_: object) -> None:
        for path in written():
            _at(path, set_append_only)

    done = loop.run_in_executor(None, release_all, frozenset(written()))
    done.add_done_callback(hold_new_ones)


@contextmanager
def changeable(fd: int) -> Iterator[None]:
    """Let the file be truncated meanwhile."""
    was_set = unset_append_only(fd)
    try:
        yield
    finally:
        if was_set:
            set_append_only(fd)


def _read(fd: int) -> int:
    return int.from_bytes(ioctl(fd, _GET, bytes(8)), "little")


def _write(fd: int, flags: int) -> None:
    ioctl(fd, _SET, flags.to_bytes(8, "little"))


def _at(path: str, act: Callable[[int], object]) -> None:
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            act(fd)
        finally:
            os.close(fd)
