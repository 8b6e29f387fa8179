"""Passes accepted connections to another process, each with the name of the socket on which it was
accepted: SCM_RIGHTS over a SOCK_SEQPACKET socket. What a client has sent and nobody has read goes
with its connection."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

_LONGEST_NAME = 64


def channel() -> tuple[socket.socket, socket.socket]:
    """Two ends, non-blocking and close-on-exec. Raises OSError."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(False)
    return ends


async def send(end: socket.socket, name: str, connection: socket.socket) -> None:
    """Pass a connection on, which stays open here; wait while the queue is full, in one task at a
    time. Raises OSError where nobody receives any more."""
    loop = asyncio.get_running_loop()
    while True:
        with suppress(BlockingIOError):
            socket.send_fds(end, [name.encode()], [connection.fileno()], socket.MSG_NOSIGNAL)
            return
        await _ready(end, loop.add_writer, loop.remove_writer)


async def receive(end: socket.socket) -> tuple[str, socket.socket] | None:
    """The next connection, non-blocking, and its name. None: the other end is closed. Raises
    OSError."""
    while True:
        await readable(end)
        with suppress(BlockingIOError):
            name, fds, _, _ = socket.recv_fds(end, _LONGEST_NAME, 1, socket.MSG_CMSG_CLOEXEC)
            if not fds:
                return None
            connection = socket.socket(fileno=fds[0])
            connection.setblocking(False)
            return name.decode(), connection


async def readable(waited_for: socket.socket) -> None:
    """Wait for a connection, for data, or for the end of the other side. (asyncio's sock_accept
    logs a traceback if it is cancelled at the moment when a connection comes.)"""
    loop = asyncio.get_running_loop()
    await _ready(waited_for, loop.add_reader, loop.remove_reader)


async def _ready(
    waited_for: socket.socket,
    add: Callable[[socket.socket, Callable[[], None]], object],
    remove: Callable[[socket.socket], object],
) -> None:
    is_ready = asyncio.Event()
    add(waited_for, is_ready.set)
    try:
        await is_ready.wait()
    finally:
        remove(waited_for)
