"""The sockets of the daemon itself: passed by systemd, inherited from an earlier daemon, or bound
here."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from emperor.handover.inherited import PassedFd

# A herd connects all at once, and nginx takes a full queue for a dead daemon.
BACKLOG = 4096


@dataclass(frozen=True, slots=True)
class Access:
    """Who may connect: the mode of a socket, and its group if that is another than the default."""

    mode: int
    gid: int | None = None


EVERYBODY = Access(0o666)


def group_access(gid: int | None) -> Access:
    """Access for root and the members of group `gid`, without `gid` for root alone."""
    return Access(0o600) if gid is None else Access(0o660, gid)


@contextmanager
def endpoint(path: Path, access: Access, passed: PassedFd | None) -> Iterator[socket.socket]:
    """A listening, non-blocking socket. A socket of systemd has the owner and mode of its unit.
    Any other is for those of `access`, and is removed at the end. Raises OSError."""
    if passed and not passed.is_ours:
        with socket.socket(fileno=passed.fd) as listener:
            _listen(listener)
            yield listener
        return
    with _adopted(passed, path) or _bound(path) as listener:
        try:
            if access.gid is not None:
                os.chown(path, -1, access.gid)
            path.chmod(access.mode)
            _listen(listener)
            yield listener
        finally:
            path.unlink(missing_ok=True)


def _listen(listener: socket.socket) -> None:
    listener.listen(BACKLOG)
    listener.setblocking(False)


def _adopted(passed: PassedFd | None, path: Path) -> socket.socket | None:
    """The socket of an earlier daemon, if it is still at its path."""
    if passed is None:
        return None
    try:
        listener = socket.socket(fileno=passed.fd)
    except OSError:  # no socket
        os.close(passed.fd)
        return None
    if listener.getsockname() == str(path) and path.is_socket():
        return listener
    listener.close()
    return None


def _bound(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # bind() gives the path the mode of the socket, less the umask (measured). Set before, it
        # leaves no moment in which others could connect.
        os.fchmod(listener.fileno(), 0)
        path.unlink(missing_ok=True)
        listener.bind(str(path))
    except BaseException:
        listener.close()
        raise
    return listener
