"""The emperor's end of a vassal's pipe: single bytes, both ways (uWSGI's emperor protocol).

An app can write to it, and send descriptors along with a byte (SCM_RIGHTS). Whoever lets the kernel
drop these closes them, and for a socket with SO_LINGER that takes as long as its sender likes.
"""

import contextlib
import socket
from asyncio import AbstractEventLoop
from collections.abc import Callable

from emperor.linux.discard import take
from emperor.model.ports import Message

GRACEFUL_STOP = b"\x02"
_KNOWN = {news.value: news for news in Message}
_AT_ONCE = 64
_SO_PASSRIGHTS = 83  # asm-generic/socket.h; from Linux 6.16 on


class Pipe:
    """Calls `on_news` for each known byte. The vassal's end is `far_fd` until `close_far`."""

    def __init__(
        self,
        near: socket.socket,
        far: socket.socket | None,
        loop: AbstractEventLoop,
        on_news: Callable[[Message], None],
    ) -> None:
        self._near = near
        self._far = far
        self._loop = loop
        self._on_news = on_news
        near.setblocking(False)
        with contextlib.suppress(OSError):
            near.setsockopt(socket.SOL_SOCKET, _SO_PASSRIGHTS, 0)
        loop.add_reader(near, self._readable)

    @classmethod
    def new(cls, loop: AbstractEventLoop, on_news: Callable[[Message], None]) -> "Pipe":
        """One whose other end nobody has yet. Raises OSError."""
        return cls(*socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM), loop, on_news)

    @classmethod
    def adopted(
        cls, fd: int, loop: AbstractEventLoop, on_news: Callable[[Message], None]
    ) -> "Pipe":
        """The emperor's end, as an earlier process left it."""
        near = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=fd)
        return cls(near, None, loop, on_news)

    @property
    def fd(self) -> int:
        """The emperor's end: when it is closed everywhere, the vassal dies."""
        return self._near.fileno()

    @property
    def far_fd(self) -> int:
        """The end that a vassal inherits."""
        return -1 if self._far is None else self._far.fileno()

    def close_far(self) -> None:
        """Keep the vassal's end in the vassal alone, so that its death is an end of file here."""
        if self._far is not None:
            self._far.close()

    def send(self, order: bytes) -> None:
        """Send one byte; a vassal that is gone already needs no order."""
        with contextlib.suppress(OSError):
            self._near.send(order)

    def close(self) -> None:
        """Close both ends, whoever else has them. A vassal that lives takes it for the emperor's
        death and ends."""
        if self._near.fileno() != -1:
            self._loop.remove_reader(self._near)
            with contextlib.suppress(OSError):
                # Nothing comes after this, and what came before must not be closed with it.
                self._near.shutdown(socket.SHUT_RDWR)
                while take(self._near, _AT_ONCE):
                    pass
        self._near.close()
        self.close_far()

    def _readable(self) -> None:
        try:
            data = self._near.recv(_AT_ONCE, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            # The workers are gone; the master follows within a second, which its pidfd will tell.
            self._loop.remove_reader(self._near)
            return
        try:
            # What is said over and over in one breath counts once: an app must not keep us busy.
            for byte in dict.fromkeys(data):
                if news := _KNOWN.get(byte):
                    self._on_news(news)
        finally:
            # Only now: a daemon that dies meanwhile is told again, which is better than never.
            left = len(data)
            while left and self._near.fileno() != -1:
                left -= len(take(self._near, left))
