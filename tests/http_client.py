"""A plain HTTP client that sends what it is told, and reads a reply to its end."""

import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO

from tests.eventually import PATIENCE_SECONDS


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. A `body` of several pieces is sent chunked."""

    host: str
    path: str = "/"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | tuple[bytes, ...] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. Names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body, decoded."""
        return self.body.decode()


def ask(port: int, request: Request, source: str = "127.0.0.1", tls: bool = False) -> Reply:
    """Send `request` to a port of 127.0.0.1 from the address `source`, which is any of 127.0.0.0/8;
    or to ::1 from an IPv6 address."""
    connection = _connection(port, source, tls)
    try:
        connection.putrequest(request.method, request.path, skip_host=True)
        for name, value in {"Host": request.host, **request.headers, **_framing(request)}.items():
            connection.putheader(name, value)
        chunked = isinstance(request.body, tuple)
        connection.endheaders(request.body, encode_chunked=chunked)
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, headers, response.read())
    finally:
        connection.close()


def send(port: int, raw: bytes) -> Reply:
    """Send bytes that no client would, and read until the server closes."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as connection:
        connection.sendall(raw)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    reply = BytesIO(received)
    status = int(reply.readline().split()[1])
    headers = {name.lower(): value for name, value in http.client.parse_headers(reply).items()}
    return Reply(status, headers, reply.read())


def _connection(port: int, source: str, tls: bool) -> http.client.HTTPConnection:
    host = "::1" if ":" in source else "127.0.0.1"
    if not tls:
        return http.client.HTTPConnection(host, port, PATIENCE_SECONDS, (source, 0))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(
        host, port, timeout=PATIENCE_SECONDS, source_address=(source, 0), context=context
    )


def _framing(request: Request) -> Mapping[str, str]:
    if request.body is None:
        return {}
    if isinstance(request.body, tuple):
        return {"Transfer-Encoding": "chunked"}
    return {"Content-Length": str(len(request.body))}
