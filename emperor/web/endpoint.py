"""The sockets that the daemon itself listens on: given by systemd or by the daemon before, or made
here with exactly the owner and mode that they should have."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emperor.handover.inherited import PassedFd

# A herd knocks here all at once, and nginx takes a full queue for a dead daemon.
BACKLOG = 4096


@contextmanager
def endpoint(path: Path, gid: int | None, given: PassedFd | None) -> Iterator[socket.socket]:
    """A listening socket, non-blocking, for root and the members of group `gid`, root alone where
    there is none; what systemd gave is as its unit says. What is ours is unlinked at the end.
    Raises OSError."""
    if given and not given.is_ours:
        with socket.socket(fileno=given.fd) as listener:
            _listen(listener)
            yield listener
        return
    with _adopted(given, path) or _bound(path) as listener:
        try:
            if gid is not None:
                os.chown(path, -1, gid)
            path.chmod(0o600 if gid is None else 0o660)
            _listen(listener)
            yield listener
        finally:
            path.unlink(missing_ok=True)


def _listen(listener: socket.socket) -> None:
    listener.listen(BACKLOG)
    listener.setblocking(False)


def _adopted(given: PassedFd | None, path: Path) -> socket.socket | None:
    """The socket of the daemon before, if its path is still there."""
    if given is None:
        return None
    try:
        listener = socket.socket(fileno=given.fd)
    except OSError:  # no socket
        os.close(given.fd)
        return None
    if listener.getsockname() == str(path) and path.is_socket():
        return listener
    listener.close()
    return None


def _bound(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # bind() applies the umask to the mode of the socket itself (measured): set before, there is
        # no moment in which anybody else could connect.
        os.fchmod(listener.fileno(), 0)
        path.unlink(missing_ok=True)
        listener.bind(str(path))
    except BaseException:
        listener.close()
        raise
    return listener
