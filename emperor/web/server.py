"""Serves an aiohttp application on a listening socket, within a limit on descriptors."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from emperor.web.accept import Acceptor
from emperor.web.aiohttp_server import web

_SHUTDOWN_SECONDS = 2.0


@asynccontextmanager
async def serve(
    app: web.Application, listener: socket.socket, most_descriptors: int
) -> AsyncIterator[None]:
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
            yield
            accepting.cancel()
    finally:
        await runner.cleanup()
