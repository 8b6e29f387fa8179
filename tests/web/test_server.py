"""What a fork of the daemon, the stand-in, does with the connections that the daemon serves."""

import asyncio
import os
import socket
from pathlib import Path

import pytest
from aiohttp import web

from emperor.web.accept import MakeProtocol
from emperor.web.server import Server, serve


class _ForksAtOnce:
    """Admits all. The process forks when a connection has a protocol, and its acceptor does not
    know that yet."""

    def __init__(self) -> None:
        self.server: Server | None = None
        self.statuses: list[int] = []

    def admit(self, _connection: socket.socket, make: MakeProtocol) -> MakeProtocol:
        loop = asyncio.get_running_loop()

        def make_and_fork() -> asyncio.Protocol:
            # The first call is before the transport gives the protocol the connection.
            loop.call_soon(loop.call_soon, self._fork)
            return make()

        return make_and_fork

    def _fork(self) -> None:
        pid = os.fork()
        if pid == 0:
            try:
                assert self.server is not None
                self.server.leave()
            except BaseException:
                os._exit(1)
            os._exit(0)
        self.statuses.append(os.waitpid(pid, 0)[1])


async def test_a_fork_leaves_a_connection_that_has_just_begun(tmp_path: Path) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="here")

    app, forks = web.Application(), _ForksAtOnce()
    app.router.add_get("/", answer)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
        listener.listen()
        listener.setblocking(False)
        async with serve(app, listener, 1000, forks) as forks.server:
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "sock"))
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).endswith(b"here"), "the daemon still serves it"
            writer.close()
    assert forks.statuses == [0]


class _FailsOnce:
    """Admits all but the first one, at which it has a fault."""

    def __init__(self) -> None:
        self.admitted = 0

    def admit(self, _connection: socket.socket, make: MakeProtocol) -> MakeProtocol:
        self.admitted += 1
        if self.admitted == 1:
            raise ZeroDivisionError
        return make


async def test_connections_are_served_after_a_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="here")

    app = web.Application()
    app.router.add_get("/", answer)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
        listener.listen()
        listener.setblocking(False)
        async with serve(app, listener, 1000, _FailsOnce()):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "sock"))
            assert await reader.read() == b""
            writer.close()
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "sock"))
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).endswith(b"here")
            writer.close()
    assert "cannot admit a connection: a fault in emperord" in caplog.text
