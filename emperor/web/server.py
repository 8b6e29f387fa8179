"""Serves an aiohttp application on a unix socket with exactly the owner and mode it should have."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from emperor.web.accept import Acceptor

# A herd knocks here all at once, and nginx takes a full queue for a dead daemon.
BACKLOG = 4096
_GOODBYE_SECONDS = 2.0


@asynccontextmanager
async def serve(
    app: web.Application, path: Path, gid: int | None, most_descriptors: int
) -> AsyncIterator[None]:
    """Serve root and the members of group `gid`, root alone where there is none, until the block
    is left; connections wait in the queue while so many descriptors are in use. Raises OSError."""
    # A client that leaves must be noticed: what it waited for is then not run.
    runner = web.AppRunner(
        app, handler_cancellation=True, access_log=None, shutdown_timeout=_GOODBYE_SECONDS
    )
    with _bound(path, gid) as listener:
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


@contextlib.contextmanager
def _bound(path: Path, gid: int | None) -> Iterator[socket.socket]:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # bind() applies the umask to the mode of the socket itself (measured): set before, there is no
    # moment in which anybody else could connect.
    os.fchmod(listener.fileno(), 0)
    path.unlink(missing_ok=True)
    listener.bind(str(path))
    try:
        if gid is not None:
            os.chown(path, -1, gid)
        path.chmod(0o600 if gid is None else 0o660)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        yield listener
    finally:
        listener.close()
        path.unlink(missing_ok=True)
