"""Accepts connections while there are descriptors, and leaves the others in the queue.

The server of asyncio does not stop at EMFILE. Each time that a listener is readable it tries as
often as the backlog is long, and for each try logs a traceback and sets a timer (measured on Python
3.11: 28,000 lines a second, and no client is served).
"""

import asyncio
import logging
import os
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from emperor.guarded import guarded
from emperor.linux.passing import readable
from emperor.model.admission import Bursts

log = logging.getLogger("emperord.accept")

# The first requests of so many connections are read in one round of the loop, in some 10 ms. All
# connections are accepted before: a herd of 5,000 would overflow the queue meanwhile (measured).
AT_ONCE = 64
# Connections that are not served are closed in the same rounds. A client that makes them without
# end costs no more of the time of the loop than this pause leaves.
PAUSE_AFTER_REFUSALS_SECONDS = 0.002
# A fault may come again at once, and each has a traceback.
PAUSE_AFTER_A_FAULT_SECONDS = 1.0
# No event tells when a descriptor becomes free, in this process or (ENFILE) in another one.
PAUSE_SECONDS = 0.05


# Makes the protocol of a connection.
MakeProtocol = Callable[[], asyncio.Protocol]
# Returns the protocol for a connection, or closes it and returns None.
Admit = Callable[[socket.socket], MakeProtocol | None]


class Acceptor:
    """Gives each connection on `listener` the protocol by which it is admitted, while fewer than
    `most` descriptors are in use."""

    def __init__(self, listener: socket.socket, admit: Admit, most: int) -> None:
        self._listener = listener
        self._admit = admit
        self._most = most
        self._accepted: deque[tuple[socket.socket, MakeProtocol]] = deque()
        # No protocol has them yet.
        self._beginning: set[socket.socket] = set()
        self._refused = 0
        self._bursts = Bursts()

    async def run(self, tasks: asyncio.TaskGroup) -> None:
        """Accept until the task is cancelled."""
        try:
            while True:
                pause = PAUSE_AFTER_A_FAULT_SECONDS
                with guarded(log, "accept a connection"):
                    problem = await self._accept()
                    for _ in range(min(AT_ONCE, len(self._accepted))):
                        self._give(*self._accepted.popleft(), tasks)
                    if problem and not self._accepted:
                        await self._wait_for_descriptors(problem)
                    is_flood = self._refused >= AT_ONCE
                    pause = PAUSE_AFTER_REFUSALS_SECONDS if is_flood else 0.0
                await asyncio.sleep(pause)
        finally:
            while self._accepted:
                self._accepted.pop()[0].close()

    def take(self, connection: socket.socket, tasks: asyncio.TaskGroup) -> None:
        """Serve a connection that another process has accepted, in one of `tasks`."""
        if protocol := self._protocol(connection):
            self._give(connection, protocol, tasks)

    def leave(self) -> None:
        """In a fork: close the connections that have no protocol yet."""
        for connection in (*(each for each, _ in self._accepted), *self._beginning):
            connection.close()

    def _give(
        self, connection: socket.socket, protocol: MakeProtocol, tasks: asyncio.TaskGroup
    ) -> None:
        self._beginning.add(connection)
        tasks.create_task(self._begin(connection, protocol))

    async def _accept(self) -> str | None:
        """Accept all connections that are pending, unless many of them are refused; without one,
        wait for the first. Returns why no more can be accepted now, if so."""
        self._refused = 0
        try:
            if not self._accepted:
                await readable(self._listener)
            while not self._accepted or self._accepted[-1][0].fileno() < self._most:
                connection, _ = self._listener.accept()
                connection.setblocking(False)
                if protocol := self._protocol(connection):
                    self._accepted.append((connection, protocol))
                else:
                    self._refused += 1
                if self._refused >= AT_ONCE:
                    return None
        except (BlockingIOError, ConnectionError):
            return None
        except OSError as error:
            return error.strerror or str(error)
        return self._shortage()

    def _protocol(self, connection: socket.socket) -> MakeProtocol | None:
        """The protocol for a connection; None: the connection was closed."""
        with guarded(log, "admit a connection"):
            return self._admit(connection)
        connection.close()
        return None

    async def _begin(self, connection: socket.socket, protocol: MakeProtocol) -> None:
        loop = asyncio.get_running_loop()
        try:
            with guarded(log, "serve a connection"), suppress(OSError):
                await loop.connect_accepted_socket(protocol, connection)
        finally:
            self._beginning.discard(connection)

    async def _wait_for_descriptors(self, problem: str | None) -> None:
        path = self._listener.getsockname()
        if problem and self._bursts.begins(problem, asyncio.get_running_loop().time()):
            log.warning("cannot accept more on %s: %s; its queue holds the others", path, problem)
        while problem:
            await asyncio.sleep(PAUSE_SECONDS)
            problem = self._shortage()

    def _shortage(self) -> str | None:
        """Why nothing can be accepted now, if so. A duplicate of the listener gets the number that
        a connection would get."""
        try:
            number = os.dup(self._listener.fileno())
        except OSError as error:
            return error.strerror or str(error)
        os.close(number)
        if number < self._most:
            return None
        return "the limit on open files is near (LimitNOFILE= of the unit)"
