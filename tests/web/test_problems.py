"""What is answered where a handler raises, and what aiohttp logs then."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from emperor.web.problems import problems
from tests.eventually import PATIENCE_SECONDS

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(handler: Handler, folder: Path) -> AsyncIterator[Path]:
    """The handler behind `problems`, on a socket of a real server; the path of that."""
    app = web.Application(middlewares=[problems])
    app.router.add_get("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(folder / "server.sock")).start()
    try:
        yield folder / "server.sock"
    finally:
        await runner.cleanup()


async def ask(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that has sent its request."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"GET / HTTP/1.1\r\nHost: emperord\r\nConnection: close\r\n\r\n")
    return reader, writer


async def test_a_client_that_has_left_is_no_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As it reads a stream, say. aiohttp logs what a handler raises."""
    asked, ended = asyncio.Event(), asyncio.Event()

    async def lost(request: web.Request) -> web.StreamResponse:
        asked.set()
        try:
            stream = web.StreamResponse()
            await stream.prepare(request)
            while True:
                await stream.write(bytes(1 << 20))
        finally:
            ended.set()

    async with asyncio.timeout(PATIENCE_SECONDS):
        async with served(lost, tmp_path) as path:
            _, writer = await ask(path)
            await asked.wait()
            writer.close()
            await ended.wait()
    assert caplog.records == []


async def test_another_lost_connection_is_a_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As that to a program which a handler asks."""

    async def broken(_request: web.Request) -> web.StreamResponse:
        raise ConnectionResetError("Cannot write to closing transport")

    async with asyncio.timeout(PATIENCE_SECONDS):
        async with served(broken, tmp_path) as path:
            reader, writer = await ask(path)
            with suppress(ConnectionError):
                assert b" 500 " in await reader.readline()
            writer.close()
    assert [record.getMessage() for record in caplog.records if record.exc_info]
