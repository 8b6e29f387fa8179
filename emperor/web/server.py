"""Serves an aiohttp application on a listening socket, within a limit on descriptors."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from emperor.web.accept import Acceptor, MakeProtocol
from emperor.web.aiohttp_server import web
from emperor.web.faults import is_fault

_SHUTDOWN_SECONDS = 2.0
# A client that sends no request, or half of one, for so long is gone. nginx and programs keep a
# connection for 60 s or less.
IDLE_SECONDS = 75.0
_LOG = logging.getLogger("emperord.server")


class ConnectionFilter(Protocol):
    """Decides whose connections are served."""

    def admit(self, connection: socket.socket, protocol: MakeProtocol) -> MakeProtocol | None:
        """The protocol for a new connection; None: the connection was closed."""


class Server:
    """The connections of one application that is served."""

    def __init__(self, server: web.Server, acceptor: Acceptor, tasks: asyncio.TaskGroup) -> None:
        self._server = server
        self._acceptor = acceptor
        self._tasks = tasks

    def take(self, connection: socket.socket) -> None:
        """Serve a connection that another process has accepted."""
        self._acceptor.take(connection, self._tasks)

    def leave(self) -> None:
        """In a fork, which does not serve them: close all connections."""
        self._acceptor.leave()
        for protocol in self._server.connections:
            # The acceptor may have closed it already, or its client has left.
            if (
                protocol.transport
                and (fd := protocol.transport.get_extra_info("socket").fileno()) >= 0
            ):
                os.close(fd)


@asynccontextmanager
async def serve(
    app: web.Application,
    listener: socket.socket,
    most_descriptors: int,
    callers: ConnectionFilter | None = None,
    shutdown_seconds: float = _SHUTDOWN_SECONDS,
) -> AsyncIterator[Server]:
    """Serve until the block ends. While `most_descriptors` are in use, further connections wait in
    the queue of the listener, which does not block. `callers` decide whose connections are served.
    At the end, requests have `shutdown_seconds` left. Raises OSError."""
    # The handler of a client that has left is cancelled: the request must not be run.
    runner = web.AppRunner(
        app,
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=shutdown_seconds,
        keepalive_timeout=IDLE_SECONDS,
        logger=_LOG,
    )
    _LOG.addFilter(is_fault)
    await runner.setup()
    assert runner.server is not None
    server = runner.server

    def admit(connection: socket.socket) -> MakeProtocol | None:
        return callers.admit(connection, server) if callers else server

    try:
        async with asyncio.TaskGroup() as tasks:
            acceptor = Acceptor(listener, admit, most_descriptors)
            accepting = tasks.create_task(acceptor.run(tasks))
            yield Server(server, acceptor, tasks)
            accepting.cancel()
    finally:
        await runner.cleanup()
