"""Tells when a connection is pending on one of many listeners.

asyncio keeps half a kilobyte for each descriptor that it watches, and makes room for an event of
each at every turn of its loop. So the listeners have an epoll(7) of their own, which the loop
watches as one descriptor.
"""

import select
from asyncio import AbstractEventLoop
from collections.abc import Callable

# A function and its arguments, in one tuple: there is one for each sleeping app.
_Call = tuple[Callable[..., object], *tuple[object, ...]]


class Connections:
    """The descriptors of listeners that are watched, each with what is called."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._calls: dict[int, _Call] = {}
        loop.add_reader(self._epoll.fileno(), self._read)

    def watch(self, fd: int, function: Callable[..., object], *args: object) -> None:
        """Call `function(*args)` in each turn of the loop in which a connection is pending, until
        `unwatch`, which must come before the descriptor is closed."""
        if fd not in self._calls:
            self._epoll.register(fd, select.EPOLLIN)
        self._calls[fd] = (function, *args)

    def unwatch(self, fd: int) -> None:
        """Harmless when it is not watched."""
        if self._calls.pop(fd, None):
            self._epoll.unregister(fd)

    def _read(self) -> None:
        for fd, _ in self._epoll.poll(0):
            self._loop.call_soon(self._call, fd, self._calls[fd])

    def _call(self, fd: int, call: _Call) -> None:
        # Another call of this turn may have ended it, and watch a new listener with that number.
        if self._calls.get(fd) is call:
            function, *args = call
            function(*args)
