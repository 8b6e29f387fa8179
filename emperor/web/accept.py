"""Accepts connections for as long as there are descriptors, and leaves the rest in the queue.

asyncio's own server does not stop at EMFILE: for each readable listener it tries as often as its
backlog is long, and logs each with a traceback, and sets a timer for each (measured on Python
3.11: 28,000 lines a second, and nobody else is served).
"""

import asyncio
import logging
import os
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from emperor.model.admission import Bursts

log = logging.getLogger("emperord.accept")

# So many are begun in one round of the loop, some 10 ms. All are accepted before: a herd of 5,000
# would overflow the queue while the first of it are looked after (measured).
AT_ONCE = 64
# Nothing tells when a descriptor becomes free, in this process or (ENFILE) in another one.
PAUSE_SECONDS = 0.05


class Acceptor:
    """Gives each connection on `listener` a protocol, as long as fewer than `most` descriptors are
    in use."""

    def __init__(
        self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol], most: int
    ) -> None:
        self._listener = listener
        self._protocol = protocol
        self._most = most
        self._accepted: deque[socket.socket] = deque()
        self._bursts = Bursts()

    async def run(self, tasks: asyncio.TaskGroup) -> None:
        """Until it is cancelled."""
        try:
            while True:
                problem = await self._accept()
                for _ in range(min(AT_ONCE, len(self._accepted))):
                    tasks.create_task(self._begin(self._accepted.popleft()))
                if problem and not self._accepted:
                    await self._wait_for_descriptors(problem)
                await asyncio.sleep(0)
        finally:
            while self._accepted:
                self._accepted.pop().close()

    async def _accept(self) -> str | None:
        """Accept all who wait; if there is nobody to begin with, wait for the first. Returns why
        there should be no more now, if so."""
        try:
            if not self._accepted:
                await self._readable()
            while not self._accepted or self._accepted[-1].fileno() < self._most:
                connection, _ = self._listener.accept()
                connection.setblocking(False)
                self._accepted.append(connection)
        except (BlockingIOError, ConnectionError):
            return None
        except OSError as error:
            return error.strerror or str(error)
        return self._shortage()

    async def _readable(self) -> None:
        """Wait for somebody. (asyncio's sock_accept logs a traceback when it is cancelled in the
        very moment in which somebody comes.)"""
        loop = asyncio.get_running_loop()
        somebody_is_there = asyncio.Event()
        loop.add_reader(self._listener, somebody_is_there.set)
        try:
            await somebody_is_there.wait()
        finally:
            loop.remove_reader(self._listener)

    async def _begin(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            await loop.connect_accepted_socket(self._protocol, connection)

    async def _wait_for_descriptors(self, problem: str | None) -> None:
        path = self._listener.getsockname()
        if problem and self._bursts.begins(problem, asyncio.get_running_loop().time()):
            log.warning("cannot accept more on %s: %s; they wait in its queue", path, problem)
        while problem:
            await asyncio.sleep(PAUSE_SECONDS)
            problem = self._shortage()

    def _shortage(self) -> str | None:
        """Why nothing should be accepted, if so. A duplicate has the number that a connection
        would have."""
        try:
            number = os.dup(self._listener.fileno())
        except OSError as error:
            return error.strerror or str(error)
        os.close(number)
        if number < self._most:
            return None
        return "the limit on open files is near (LimitNOFILE= of the unit)"
