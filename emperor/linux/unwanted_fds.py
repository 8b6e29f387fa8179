"""Reads from a socket whose peer may send descriptors along (SCM_RIGHTS), and discards these.

To close such a descriptor may take as long as the sender likes: a socket can linger, and a file
system can be slow. A thread for each would be 253 threads a byte. So none is received: what comes
before them is read, and the rest is discarded with the socket, in one thread.
"""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

from emperor.linux.threads import start_thread

_PIECE_BYTES = 1 << 16
# More than a socket holds, unless an administrator has raised net.core.wmem_default.
_MOST_PIECES = 16


class SentDescriptors(Exception):
    """The peer has sent descriptors. Nothing more can be read: use `close_unread`."""


def take(end: socket.socket, most: int) -> bytes:
    """At most `most` bytes from a socket. Raises SentDescriptors, and OSError."""
    data = peek(end, most)
    return end.recv(len(data)) if data else data


def peek(end: socket.socket, most: int) -> bytes:
    """What `take` would return. The bytes stay in the socket. Raises like `take`."""
    data, _, flags, _ = end.recvmsg(most, 0, socket.MSG_PEEK)
    # The kernel has no room for descriptors in such a call.
    if flags & socket.MSG_CTRUNC:
        raise SentDescriptors
    return data


def send_away(connection: socket.socket, answer: bytes) -> None:
    """Send these bytes as far as the socket takes them, and close it."""
    with suppress(OSError, SentDescriptors):
        connection.setblocking(False)
        connection.send(answer)
        # Closing a socket with unread data resets the connection, and the answer may be lost.
        for _ in range(_MOST_PIECES):
            if not take(connection, _PIECE_BYTES):
                break
    close_unread(connection)


def close_unread(end: socket.socket) -> None:
    """Close a socket that does not wait for bytes. What is left in it is discarded in a thread."""
    with suppress(OSError):
        if end.recv(1, socket.MSG_PEEK):
            _in_a_thread(_discard, end.detach())
    end.close()


def _discard(fd: int) -> None:
    """The kernel closes the descriptors that come along, in this thread."""
    with socket.socket(fileno=fd) as end, suppress(OSError):
        while end.recv(_PIECE_BYTES):
            pass


def close_elsewhere(fd: int) -> None:
    """Close a descriptor that comes from an app in a thread."""
    _in_a_thread(os.close, fd)


def _in_a_thread(close: Callable[[int], None], fd: int) -> None:
    """Where no thread can start, the descriptor stays open: the daemon must not wait for an app."""
    start_thread(Thread(target=close, args=(fd,), name="discard", daemon=True))
