"""A spare: a process that a base has forked, and that waits for an order."""

import array
import os
import select
import signal
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from emperor.linux.proc import has_socket_open, state_of, user_of
from emperor.linux.timed_query import ask

_CREDENTIALS = struct.Struct("iII")  # struct ucred of unix(7)
_DYING_SECONDS = 0.1
_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT
_GONE_OR_STOPPED = ("", "T", "t", "Z", "X", "x")


@dataclass(frozen=True, slots=True)
class Spare:
    """A process that waits for an order at the other end of `channel`. `is_child`: its base is a
    child of the daemon, so it must be one as well."""

    pid: int
    pidfd: int
    channel: socket.socket
    is_child: bool = True

    @property
    def waits(self) -> bool:
        """Whether it can take an order: it is neither dead nor stopped. The pid of a child is its
        own then as long as nobody reaps it."""
        try:
            is_dead = os.waitid(os.P_PIDFD, self.pidfd, _LOOK) is not None
        except ChildProcessError:  # it was reaped, or was never forked from a base of ours
            is_dead = self.is_child or _says_something(self.pidfd, 0.0)
        # It may be a tenant's, which can have the kernel wait for it (linux/timed_query).
        return not is_dead and state_of(self.pid) not in _GONE_OR_STOPPED

    def give(self, message: bytes, fds: Sequence[int]) -> None:
        """Have it become the app of that order. Raises OSError."""
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
        self.channel.sendmsg([message], [rights], socket.MSG_DONTWAIT)

    def end(self) -> None:
        """Kill it, and wait a moment for its end."""
        self.channel.close()
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        _says_something(self.pidfd, _DYING_SECONDS)
        with suppress(ChildProcessError):
            os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG)
        os.close(self.pidfd)


def channels() -> tuple[socket.socket, socket.socket]:
    """A channel for a spare: our end and its end. The kernel notes on ours who sends."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return near, far


def spare_at(channel: socket.socket, uid: int, inode: int | None = None) -> Spare | None:
    """The spare that has said hello; None, and the channel is closed, where none came to be, or
    what has said it is another user's. Where it is no child of the daemon, its end of the channel
    has that `inode`: its number may be another's before it is looked at."""
    with suppress(OSError):
        data, ancillary, _, _ = channel.recvmsg(
            1, socket.CMSG_SPACE(_CREDENTIALS.size), socket.MSG_DONTWAIT
        )
        if data and ancillary:
            pid, sender, _ = _CREDENTIALS.unpack(ancillary[0][2])
            if sender == uid:
                spare = Spare(pid, os.pidfd_open(pid), channel, is_child=inode is None)
                # The number may have become another's before the descriptor was opened.
                if inode is None:
                    is_it = user_of(pid) == uid
                else:
                    is_it = ask(pid, partial(has_socket_open, pid, inode), False)
                if is_it:
                    return spare
                os.close(spare.pidfd)
    channel.close()
    return None


def says_something(channel: socket.socket, seconds: float) -> bool:
    """Wait so long for a spare, or not at all."""
    return _says_something(channel.fileno(), max(seconds, 0.0))


def _says_something(fd: int, seconds: float) -> bool:
    """select(2) knows no descriptor above 1,023."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
