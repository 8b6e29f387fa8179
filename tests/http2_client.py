"""The smallest HTTP/2 client: it sends one request on a connection, and reads the status."""

import socket
import ssl
import struct
from collections.abc import Mapping

from tests.eventually import PATIENCE_SECONDS

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_LONGEST_FRAME = 16_384
# Types and flags of frames (RFC 9113, 6), and codes of HPACK (RFC 7541, 6 and appendix A).
_HEADERS, _SETTINGS, _GOAWAY, _CONTINUATION = 1, 4, 7, 9
_END_STREAM, _END_HEADERS = 1, 4
_TABLE_SIZE, _TABLE_SIZE_MASK, _STATUS_200, _STATUS = 0x20, 0xE0, 0x88, 0x48


def status_over_http2(port: int, host: str, path: str, headers: Mapping[str, str]) -> int | None:
    """GET `path` with TLS from a port of 127.0.0.1; None if the server ends the connection without
    an answer. Names of `headers` are in lower case."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    fields = {":method": "GET", ":scheme": "https", ":authority": host, ":path": path, **headers}
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in fields.items())
    plain = socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)
    with plain, context.wrap_socket(plain, server_hostname=host) as connection:
        connection.sendall(_PREFACE + _frame(_SETTINGS, 0, 0, b"") + _request(block))
        return _status(connection)


def _text(text: str) -> bytes:
    """A string of HPACK, not compressed: its length with a prefix of 7 bits, and its bytes."""
    length, sized = len(text), bytearray()
    if length < 127:
        sized.append(length)
    else:
        sized.append(127)
        length -= 127
        while length >= 128:
            sized.append(length % 128 + 128)
            length //= 128
        sized.append(length)
    return bytes(sized) + text.encode()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _request(block: bytes) -> bytes:
    parts = [block[at : at + _LONGEST_FRAME] for at in range(0, len(block), _LONGEST_FRAME)]
    frames = []
    for number, part in enumerate(parts):
        kind, flags = (_CONTINUATION, 0) if number else (_HEADERS, _END_STREAM)
        flags |= _END_HEADERS if number == len(parts) - 1 else 0
        frames.append(_frame(kind, flags, 1, part))
    return b"".join(frames)


def _status(connection: ssl.SSLSocket) -> int | None:
    with connection.makefile("rb") as received:
        while len(head := received.read(9)) == 9:
            length = int.from_bytes(head[:3], "big")
            payload = received.read(length)
            if head[3] == _GOAWAY:
                return None
            if head[3] == _HEADERS:
                while payload[0] & _TABLE_SIZE_MASK == _TABLE_SIZE:
                    payload = payload[1:]
                if payload[0] == _STATUS_200:
                    return 200
                assert payload[0] == _STATUS, payload
                return int(payload[2:5])
    return None
