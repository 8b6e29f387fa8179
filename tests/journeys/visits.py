"""Requests through nginx that are under way at the same time."""

import asyncio
from collections import Counter
from collections.abc import Iterable

from tests.backend import Backend


async def visit(port: int, host: str, navigates: bool = False) -> tuple[int, str]:
    """Status and body of one request."""
    kind = "Sec-Fetch-Mode: navigate\r\n" if navigates else ""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\n{kind}Connection: close\r\n\r\n".encode())
    try:
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    finally:
        writer.close()
    return int(head.split()[1]), body


async def visit_all(backend: Backend, hosts: Iterable[str]) -> Counter[int]:
    """Status codes of a request to each, all under way at the same time."""
    replies = await asyncio.gather(*(visit(backend.nginx.port, host) for host in hosts))
    return Counter(status for status, _ in replies)
