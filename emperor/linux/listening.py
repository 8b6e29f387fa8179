"""Duplicates of the sockets at which another process listens (pidfd_getfd(2), from Linux 5.6 on).

The other process is an app, which may change its descriptors at any moment. So each duplicate is
looked at before it is used, and is closed in a thread: close(2) may block for as long as the app
likes (linux/unwanted_fds).
"""

import ctypes
import errno
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from emperor.linux.timed_query import ask
from emperor.linux.unwanted_fds import close_elsewhere

# pidfd_getfd of asm-generic/unistd.h, which x86-64 and aarch64 share. Python 3.11 has no function.
_PIDFD_GETFD = 438
# uWSGI binds its sockets before it loads the app. It has ten to twenty descriptors by then.
_MOST_DESCRIPTORS = 64
# The process has exited, or has closed that descriptor.
_GONE = frozenset({errno.ESRCH, errno.EBADF})
_NO_ANSWER = "the kernel lets everybody wait who asks for its sockets"


def listening_sockets(pid: int, pidfd: int) -> list[socket.socket]:
    """A duplicate of each stream socket at which that process listens, among its first descriptors;
    none where it is gone. Close them with `close_elsewhere`.

    Raises OSError where the kernel does not let this process have them, or does not answer in time.
    """
    no_answer: list[socket.socket] | OSError = TimeoutError(errno.ETIMEDOUT, _NO_ANSWER)
    found = ask(pid, partial(_found, pid, pidfd), no_answer, _discard)
    if isinstance(found, OSError):
        raise found
    return found


def _found(pid: int, pidfd: int) -> list[socket.socket] | OSError:
    found: list[socket.socket] = []
    try:
        for number in _sockets(pid):
            if (fd := _duplicate(pidfd, number)) is None:
                continue
            if (copy := _listening(fd)) is not None:
                found.append(copy)
            else:
                close_elsewhere(fd)
    except OSError as error:
        _discard(found)
        return error
    return found


def _discard(found: list[socket.socket] | OSError) -> None:
    for copy in found if isinstance(found, list) else ():
        close_elsewhere(copy.detach())


def _sockets(pid: int) -> Iterator[int]:
    with suppress(FileNotFoundError):
        for number in sorted(map(int, os.listdir(f"/proc/{pid}/fd")))[:_MOST_DESCRIPTORS]:
            with suppress(FileNotFoundError):
                if os.readlink(f"/proc/{pid}/fd/{number}").startswith("socket:"):
                    yield number


def _duplicate(pidfd: int, number: int) -> int | None:
    """A duplicate; None where that descriptor, or the process, is gone. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd: int = libc.syscall(_PIDFD_GETFD, pidfd, number, 0)
    if fd < 0:
        error = ctypes.get_errno()
        if error in _GONE:
            return None
        raise OSError(error, os.strerror(error))
    return fd


def _listening(fd: int) -> socket.socket | None:
    """The socket; None where it does not listen, and where the process has put something else in
    its place. Nothing that may block is asked, as fstat(2) of a file."""
    try:
        copy = socket.socket(fileno=fd)
    except OSError:
        return None
    is_stream = copy.type == socket.SOCK_STREAM
    if is_stream and copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return copy
    copy.detach()
    return None
