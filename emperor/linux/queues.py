"""The number of connections that wait on a listener, from unix_diag over netlink (sock_diag(7)).

One socket is asked for by its inode in a tenth of a millisecond. The kernel answers before send(2)
returns.
"""

import asyncio
import logging
import os
import socket
from struct import Struct

from emperor.model.ports import Listener, QueueLength

log = logging.getLogger("emperord.queues")

# Where the kernel does not tell the length of a queue, a herd is released in batches of this size.
_UNKNOWN = QueueLength(pending=0, capacity=128)

# linux/netlink.h, linux/sock_diag.h, linux/unix_diag.h and linux/tcp_states.h.
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_NLMSG_ERROR = 2
_TCP_LISTEN = 10
_UDIAG_SHOW_RQLEN = 0x10
_UNIX_DIAG_RQLEN = 4
# All ones ask for the inode whatever its cookie is (INET_DIAG_NOCOOKIE).
_ANY_COOKIE = 2**64 - 1

_HEADER = Struct("=IHHII")  # length, type, flags, sequence, port
_REQUEST = Struct("=BBHIIIQ")  # family, protocol, padding, states, inode, what to show, cookie
_SOCKET = Struct("=BBBBIQ")  # family, type, state, padding, inode, cookie
_ATTRIBUTE = Struct("=HH")  # length, type
_LENGTHS = Struct("=II")
_ERROR = Struct("=i")
_LONGEST_ANSWER = 4096


async def measured_queue(listener: Listener) -> QueueLength:
    """The queue of a listener; a small one where the kernel does not tell."""
    # Somebody may want those of all apps that run: the loop has a turn before each.
    await asyncio.sleep(0)
    if listener.fd < 0:  # closed meanwhile: no queue can overflow
        return _UNKNOWN
    try:
        return queue_length(listener.fd)
    except OSError as error:
        log.warning("cannot measure the queue of a listener: %s", error.strerror)
        return _UNKNOWN


def queue_length(fd: int) -> QueueLength:
    """The queue of the listening unix socket `fd`. The kernel lets one more in than the backlog
    says, which is at most net.core.somaxconn.

    Raises OSError: it listens no more, netlink is not permitted, a kernel without unix_diag.
    """
    answer = _ask(os.fstat(fd).st_ino)
    _, kind, _, _, _ = _HEADER.unpack_from(answer)
    if kind == _NLMSG_ERROR:
        [code] = _ERROR.unpack_from(answer, _HEADER.size)
        raise OSError(-code, f"cannot see how full a queue is: {os.strerror(-code)}")
    at = _HEADER.size + _SOCKET.size
    while at + _ATTRIBUTE.size + _LENGTHS.size <= len(answer):
        length, name = _ATTRIBUTE.unpack_from(answer, at)
        if name == _UNIX_DIAG_RQLEN:
            pending, backlog = _LENGTHS.unpack_from(answer, at + _ATTRIBUTE.size)
            return QueueLength(pending, backlog + 1)
        at += max(_ATTRIBUTE.size, length + 3 & ~3)  # aligned to four bytes
    raise OSError(0, "cannot see how full a queue is: the kernel does not tell")


def _ask(inode: int) -> bytes:
    wanted = (socket.AF_UNIX, 0, 0, 1 << _TCP_LISTEN, inode, _UDIAG_SHOW_RQLEN, _ANY_COOKIE)
    length = _HEADER.size + _REQUEST.size
    header = _HEADER.pack(length, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.send(header + _REQUEST.pack(*wanted), socket.MSG_DONTWAIT)
        return kernel.recv(_LONGEST_ANSWER, socket.MSG_DONTWAIT)
