"""The emperor's end of a vassal's pipe: single bytes, both ways (uWSGI's emperor protocol)."""

import contextlib
import os
import socket
from asyncio import AbstractEventLoop
from collections.abc import Callable

from emperor.model.ports import News

GRACEFUL_STOP = b"\x02"
_KNOWN = {news.value: news for news in News}


class Pipe:
    """Calls `on_news` for each known byte. The vassal's end is `far_fd` until `close_far`."""

    def __init__(self, loop: AbstractEventLoop, on_news: Callable[[News], None]) -> None:
        self._loop = loop
        self._on_news = on_news
        self._near, self._far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._near.setblocking(False)
        loop.add_reader(self._near, self._readable)

    @property
    def far_fd(self) -> int:
        """The end that a vassal inherits."""
        return self._far.fileno()

    def close_far(self) -> None:
        """Keep the vassal's end in the vassal alone, so that its death is an end of file here."""
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
        self._far.close()

    def _readable(self) -> None:
        try:
            data = os.read(self._near.fileno(), 64)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            # The workers are gone; the master follows within a second, which its pidfd will tell.
            self._loop.remove_reader(self._near)
            return
        for byte in data:
            if news := _KNOWN.get(byte):
                self._on_news(news)
