"""The smallest emperord: it notes what nginx asks, and answers as the test says."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of nginx. Names of `headers` are in lower case."""

    request_line: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def domain(self) -> str:
        """The host whose app is wanted."""
        return self.headers["x-domain"]


class StubDaemon:
    """Answers on `folder`/run/activate.sock.

    Unless `answer` is replaced, it opens the door of the app's socket and sends nginx back to it,
    as emperord does when the app accepts. The first `deaths` questions break off.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.asked: list[Asked] = []
        self.deaths = 0
        self.answer: Callable[[Asked], Awaitable[web.Response]] = self.open_and_run

    async def open_and_run(self, asked: Asked) -> web.Response:
        """The app accepts."""
        (self._folder / "sockets" / asked.domain / "socket").chmod(0o660)
        return run_it()

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """One request on activate.sock."""
        line = f"{request.method} {request.raw_path}"
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Asked(line, headers, await request.read())
        self.asked.append(asked)
        if len(self.asked) <= self.deaths:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return await self.answer(asked)


def run_it(headers: Mapping[str, str] | None = None) -> web.Response:
    """The answer that lets nginx run the original request."""
    return web.Response(headers={"X-Accel-Redirect": "@app", **(headers or {})})


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[StubDaemon]:
    """A StubDaemon that listens, for nginx's workers too."""
    daemon = StubDaemon(folder)
    runner = web.ServerRunner(web.Server(daemon.handle))
    await runner.setup()
    socket = folder / "run" / "activate.sock"
    await web.UnixSite(runner, str(socket)).start()
    shutil.chown(socket, group="www-data")
    socket.chmod(0o660)
    try:
        yield daemon
    finally:
        await runner.cleanup()
