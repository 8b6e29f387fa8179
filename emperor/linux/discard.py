"""Reads from those who may send descriptors along (SCM_RIGHTS), and has no use for these."""

import os
import socket
from threading import Thread

_MOST_FDS = 253  # SCM_MAX_FD


def take(end: socket.socket, most: int) -> bytes:
    """So many bytes of a socket at most; a message with descriptors ends one before the others.
    What comes along is closed, without waiting for that: a socket may linger for its peer as long
    as its sender said, or be in the queue of another one, and a file system may take its time.
    Raises OSError."""
    data, fds, _, _ = socket.recv_fds(end, most, _MOST_FDS)
    for fd in fds:
        Thread(target=os.close, args=(fd,), name="discard", daemon=True).start()
    return data
