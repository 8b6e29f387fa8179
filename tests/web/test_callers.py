"""Connections that ask nothing, on a socket that is served with the rights of its callers."""

import asyncio
import socket
from pathlib import Path

import pytest

from emperor.linux.limits import descriptors
from emperor.model.authority import Administrators
from emperor.web import server
from emperor.web.aiohttp_server import web
from emperor.web.callers import Callers

NOBODY_IS_ADMINISTRATOR = Administrators(frozenset(), None)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost:"], ids=["nothing", "half"])
async def test_a_silent_connection_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.1)
    callers = Callers(NOBODY_IS_ADMINISTRATOR, descriptors(), lambda _: True)
    path = str(tmp_path / "it")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.setblocking(False)
        async with server.serve(web.Application(), listener, 1 << 20, callers):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(sent)
            assert await asyncio.wait_for(reader.read(), 30) == b""
            writer.close()
