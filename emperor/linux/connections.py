"""Tells when a connection is pending on one of many listeners.

asyncio keeps half a kilobyte for each descriptor that it watches, and makes room for an event of
each at every turn of its loop. So the listeners have an epoll(7) of their own, which the loop
watches as one descriptor.
"""

import select
from asyncio import AbstractEventLoop
from collections.abc import Callable


class Connections:
    """The descriptors of listeners that are watched, each with what is called."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        # The argument of each descriptor, by the function. There are few functions, and a tuple for
        # each of thousands of sleeping apps would have 64 bytes.
        self._watched: dict[Callable[..., object], dict[int, object]] = {}
        # Those that a call of this turn is about, unless a call before it has ended that.
        self._pending: set[int] = set()
        loop.add_reader(self._epoll.fileno(), self._read)

    def watch(self, fd: int, function: Callable[..., object], argument: object) -> None:
        """Call `function(argument)` in each turn of the loop in which a connection is pending,
        until `unwatch`, which must come before the descriptor is closed."""
        if not self._forget(fd):
            self._epoll.register(fd, select.EPOLLIN)
        self._watched.setdefault(function, {})[fd] = argument

    def unwatch(self, fd: int) -> None:
        """Harmless when it is not watched."""
        if self._forget(fd):
            # The next listener may have that number.
            self._pending.discard(fd)
            self._epoll.unregister(fd)

    def _forget(self, fd: int) -> bool:
        for arguments in self._watched.values():
            if fd in arguments:
                del arguments[fd]
                return True
        return False

    def _read(self) -> None:
        for fd, _ in self._epoll.poll(0):
            self._pending.add(fd)
            self._loop.call_soon(self._call, fd)

    def _call(self, fd: int) -> None:
        if fd in self._pending:
            self._pending.remove(fd)
            for function, arguments in self._watched.items():
                if fd in arguments:
                    function(arguments[fd])
                    return
