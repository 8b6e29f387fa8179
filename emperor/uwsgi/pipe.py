"""The emperor's end of a vassal's pipe: single bytes, both ways (uWSGI's emperor protocol)."""

import contextlib
import os
import socket
from asyncio import AbstractEventLoop
from collections.abc import Callable

from emperor.model.ports import News

GRACEFUL_STOP = b"\x02"
_KNOWN = {news.value: news for news in News}
_AT_ONCE = 64


class Pipe:
    """Calls `on_news` for each known byte. The vassal's end is `far_fd` until `close_far`."""

    def __init__(
        self,
        near: socket.socket,
        far: socket.socket | None,
        loop: AbstractEventLoop,
        on_news: Callable[[News], None],
    ) -> None:
        self._near = near
        self._far = far
        self._loop = loop
        self._on_news = on_news
        near.setblocking(False)
        loop.add_reader(near, self._readable)

    @classmethod
    def new(cls, loop: AbstractEventLoop, on_news: Callable[[News], None]) -> "Pipe":
        """One whose other end nobody has yet. Raises OSError."""
        return cls(*socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM), loop, on_news)

    @classmethod
    def adopted(cls, fd: int, loop: AbstractEventLoop, on_news: Callable[[News], None]) -> "Pipe":
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
        """Close both ends. A vassal that lives takes it for the emperor's death and ends."""
        if self._near.fileno() != -1:
            self._loop.remove_reader(self._near)
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
            for byte in data:
                if news := _KNOWN.get(byte):
                    self._on_news(news)
        finally:
            # Only now: a daemon that dies meanwhile is told again, which is better than never.
            if self._near.fileno() != -1:
                os.read(self._near.fileno(), len(data))
