"""Descriptors that somebody else has sent us, and that we have no use for."""

import os
import socket
import struct

_AT_ONCE = struct.pack("ii", 1, 0)


def discard(fd: int) -> None:
    """Close it at once. A socket whose sender has set SO_LINGER would wait for its peer."""
    try:
        sent = socket.socket(fileno=fd)
    except OSError:  # no socket
        os.close(fd)
        return
    with sent:
        sent.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
