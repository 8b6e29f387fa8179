"""Connections that ask nothing, on a socket that is served with the rights of its callers."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from emperor.linux.limits import descriptors
from emperor.model.authority import Administrators
from emperor.model.client_limits import MOST_PER_TENANT
from emperor.web import server
from emperor.web.aiohttp_server import web
from emperor.web.callers import Callers

NOBODY_IS_ADMINISTRATOR = Administrators(frozenset(), None)


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket that is not served yet."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "it"))
        listener.listen(100)
        listener.setblocking(False)
        yield listener


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost:"], ids=["nothing", "half"])
async def test_a_silent_connection_is_closed(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.1)
    callers = Callers(NOBODY_IS_ADMINISTRATOR, descriptors(), lambda _: True)
    async with server.serve(web.Application(), listener, 1 << 20, callers):
        reader, writer = await asyncio.open_unix_connection(listener.getsockname())
        writer.write(sent)
        assert await asyncio.wait_for(reader.read(), 30) == b""
        writer.close()


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/html,application/xhtml+xml;q=0.9", "text/html"),
        ("*/*", "application/problem+json"),
        ("", "application/problem+json"),
    ],
)
async def test_one_connection_too_many_is_answered_as_asked(
    listener: socket.socket, accept: str, kind: str
) -> None:
    callers = Callers(NOBODY_IS_ADMINISTRATOR, descriptors(), lambda _: True)
    with ExitStack() as stack:
        for _ in range(MOST_PER_TENANT):
            stack.enter_context(socket.socket(socket.AF_UNIX)).connect(listener.getsockname())
        reader, writer = await asyncio.open_unix_connection(listener.getsockname())
        header = f"Accept: {accept}\r\n" if accept else ""
        writer.write(f"GET /console/ HTTP/1.1\r\nHost: x\r\n{header}\r\n".encode())
        async with server.serve(web.Application(), listener, 1 << 20, callers):
            head, _, body = (await asyncio.wait_for(reader.read(), 30)).partition(b"\r\n\r\n")
        writer.close()
    assert head.startswith(b"HTTP/1.1 429 ")
    assert f"Content-Type: {kind}".encode() in head
    assert f"Content-Length: {len(body)}".encode() in head
    if kind == "text/html":
        assert b"<h1>This user has too many connections</h1>" in body
    else:
        assert json.loads(body)["code"] == "too-many-connections"
