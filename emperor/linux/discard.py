"""Closes descriptors that come from an app, for instance along with the bytes of a socket
(SCM_RIGHTS)."""

import os
import socket
from threading import Thread

_MOST_FDS = 253  # SCM_MAX_FD


def take(end: socket.socket, most: int) -> bytes:
    """At most `most` bytes from a socket; fewer where a message with descriptors ends.

    Such descriptors are closed in a thread, since close(2) may block for as long as the sender
    likes: a socket can linger, and a file system can be slow. Raises OSError.
    """
    data, fds, _, _ = socket.recv_fds(end, most, _MOST_FDS)
    for fd in fds:
        close_elsewhere(fd)
    return data


def close_elsewhere(fd: int) -> None:
    """Close a descriptor in a thread."""
    Thread(target=os.close, args=(fd,), name="discard", daemon=True).start()
