"""Clients that measure the time from connect() to the first byte of the answer."""

import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

_SECONDS = 60.0


def _nothing() -> None:
    pass


def uwsgi_first_byte(path: Path, host: str, meanwhile: Callable[[], None] = _nothing) -> float:
    """Send a request in the uwsgi protocol on a unix socket, call `meanwhile`, and wait for the
    answer. Returns the seconds from connect() to its first byte."""
    with socket.socket(socket.AF_UNIX) as connection:
        return _first_byte(connection, str(path), _packet(host), meanwhile)


def http_first_byte(port: int, host: str, meanwhile: Callable[[], None] = _nothing) -> float:
    """Measure as `uwsgi_first_byte` does, but over HTTP on a port of 127.0.0.1."""
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    with socket.socket() as connection:
        return _first_byte(connection, ("127.0.0.1", port), request, meanwhile)


def _first_byte(
    connection: socket.socket,
    address: str | tuple[str, int],
    request: bytes,
    meanwhile: Callable[[], None],
) -> float:
    connection.settimeout(_SECONDS)
    begun = time.perf_counter()
    connection.connect(address)
    connection.sendall(request)
    meanwhile()
    answer = connection.recv(1)
    took = time.perf_counter() - begun
    while part := connection.recv(65536):
        answer += part
    if b" 200 " not in answer.partition(b"\r\n")[0]:
        raise ConnectionError(f"cannot measure {address}: it answered {answer[:200]!r}")
    return took


def _packet(host: str) -> bytes:
    """A request as nginx's uwsgi_pass sends it: modifier, size, pairs of strings."""
    variables = {
        "QUERY_STRING": "",
        "REQUEST_METHOD": "GET",
        "CONTENT_LENGTH": "",
        "REQUEST_URI": "/",
        "PATH_INFO": "/",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_NAME": host,
        "HTTP_HOST": host,
    }
    words = [word.encode() for pair in variables.items() for word in pair]
    body = b"".join(struct.pack("<H", len(word)) + word for word in words)
    return struct.pack("<BHB", 0, len(body), 0) + body
