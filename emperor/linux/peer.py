"""The user and groups of the process at the other end of a unix socket, as the kernel noted them
when it connected (SO_PEERCRED of unix(7), SO_PEERGROUPS since Linux 4.13)."""

import ctypes
import errno
import os
import socket
import struct
from typing import Protocol

from emperor.model.authority import Peer

# <asm-generic/socket.h>; Python has no name for it.
_SO_PEERGROUPS = 59
# NGROUPS_MAX
_MOST_GROUPS = 65536
# The longest answer that Python's getsockopt takes, and enough for 256 groups.
_LONGEST_ANSWER = 1024


class Connection(Protocol):
    """A socket, or asyncio's view of one."""

    def fileno(self) -> int:
        """The descriptor of the socket."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
        """getsockopt(2)."""


def peer_of(connection: Connection) -> Peer:
    """Raises OSError. A kernel that does not tell the groups leaves the primary one."""
    ucred = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII"))
    _, uid, gid = struct.unpack("iII", ucred)
    return Peer(uid, gid, _groups(connection))


def _groups(connection: Connection) -> frozenset[int]:
    try:
        gids = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _LONGEST_ANSWER)
    except OSError as error:
        if error.errno == errno.ENOPROTOOPT:
            return frozenset()
        if error.errno != errno.ERANGE:
            raise
        gids = _many_groups(connection)
    return frozenset(struct.unpack(f"{len(gids) // 4}I", gids))


def _many_groups(connection: Connection) -> bytes:
    libc = ctypes.CDLL(None, use_errno=True)
    size = ctypes.c_uint32(_MOST_GROUPS * 4)
    gids = ctypes.create_string_buffer(size.value)
    asked = (socket.SOL_SOCKET, _SO_PEERGROUPS, gids, ctypes.byref(size))
    if libc.getsockopt(connection.fileno(), *asked):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return gids.raw[: size.value]
