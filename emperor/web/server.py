"""Serves an aiohttp application on a listening socket, for as long as there are descriptors."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from emperor.web.accept import Acceptor

_GOODBYE_SECONDS = 2.0


@asynccontextmanager
async def serve(
    app: web.Application, listener: socket.socket, most_descriptors: int
) -> AsyncIterator[None]:
    """Serve whoever can connect, until the block is left; connections wait in the queue while so
    many descriptors are in use. Raises OSError."""
    # A client that leaves must be noticed: what it waited for is then not run.
    runner = web.AppRunner(
        app, handler_cancellation=True, access_log=None, shutdown_timeout=_GOODBYE_SECONDS
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
