"""Tells when a connection is pending on one of many listeners.

asyncio keeps half a kilobyte for each descriptor that it watches, and makes room for an event of
each at every turn of its loop. So the listeners have an epoll(7) of their own, which the loop
watches as one descriptor.
"""

import logging
import select
from asyncio import AbstractEventLoop
from collections.abc import Callable

from emperor.model.admission import Bursts

log = logging.getLogger("emperord.connections")

# No event tells when a descriptor becomes free.
PAUSE_SECONDS = 0.05


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
        # Those that are watched, and not by the epoll for a moment.
        self._paused: set[int] = set()
        self._bursts = Bursts()
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
            if fd in self._paused:
                self._paused.discard(fd)
            else:
                self._epoll.unregister(fd)

    def pause(self, fd: int, why: str) -> None:
        """Call nobody for a moment about a descriptor that is watched: its connections cannot be
        accepted for that reason, and would be reported in each turn of the loop."""
        if fd in self._paused:
            return
        self._paused.add(fd)
        self._epoll.unregister(fd)
        self._loop.call_later(PAUSE_SECONDS, self._resume, fd)
        if self._bursts.begins(why, self._loop.time()):
            log.warning(
                "cannot refuse connections of apps: %s; the queues of their sockets hold them", why
            )

    def _resume(self, fd: int) -> None:
        if fd not in self._paused:
            return
        try:
            self._epoll.register(fd, select.EPOLLIN)
        except OSError as error:
            # Memory, or the number of watches that the user may have, is short.
            self._loop.call_later(PAUSE_SECONDS, self._resume, fd)
            if self._bursts.begins("watch", self._loop.time()):
                log.warning("cannot watch sockets of apps: %s; it is tried again", error.strerror)
        else:
            self._paused.discard(fd)

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
