"""Serves an aiohttp application on a listening socket, within a limit on descriptors."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from emperor.web.accept import Acceptor
from emperor.web.aiohttp_server import web

_SHUTDOWN_SECONDS = 2.0


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
            if protocol.transport:
                os.close(protocol.transport.get_extra_info("socket").fileno())


@asynccontextmanager
async def serve(
    app: web.Application, listener: socket.socket, most_descriptors: int
) -> AsyncIterator[Server]:
    """Serve until the block ends. While `most_descriptors` are in use, further connections wait in
    the queue of the listener. Raises OSError."""
    # The handler of a client that has left is cancelled: the request must not be run.
    runner = web.AppRunner(
        app, handler_cancellation=True, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS
    )
    await runner.setup()
    assert runner.server is not None
    try:
        async with asyncio.TaskGroup() as tasks:
            acceptor = Acceptor(listener, runner.server, most_descriptors)
            accepting = tasks.create_task(acceptor.run(tasks))
            yield Server(runner.server, acceptor, tasks)
            accepting.cancel()
    finally:
        await runner.cleanup()
