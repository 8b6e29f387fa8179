"""The emperor's end of a vassal's pipe: single bytes, both ways (uWSGI's emperor protocol).

An app can write to the pipe, as fast as it likes: then it is read a few times a second. It can send
descriptors along with a byte (SCM_RIGHTS). uWSGI never does so, and what may become of them is in
linux/unwanted_fds. So the pipe of such an app is not read on.
"""

import contextlib
import socket
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable

from emperor.linux.unwanted_fds import SentDescriptors, close_unread, peek
from emperor.model.allowance import Allowance
from emperor.model.ports import Message

GRACEFUL_STOP = b"\x02"
_MESSAGES = {message.value: message for message in Message}
_AT_ONCE = 64
# How often the bytes of one process are read. A uWSGI says four things in its life, and one more
# for each worker that it replaces.
_BURST, _PER_SECOND = 50, 5.0
_SO_PASSRIGHTS = 83  # asm-generic/socket.h; from Linux 6.16 on


class Pipe:
    """Calls `on_message` for each byte that is a message. The vassal's end is `far_fd`."""

    def __init__(
        self,
        near: socket.socket,
        far: socket.socket | None,
        loop: AbstractEventLoop,
        on_message: Callable[[Message], None],
    ) -> None:
        self._near = near
        self._far = far
        self._loop = loop
        self.on_message = on_message
        # Called once, when no worker has the other end any more.
        self.on_end: Callable[[], None] | None = None
        # Called when the app sends more than is read at once.
        self.on_flood: Callable[[], None] | None = None
        # Called once, when the app has sent descriptors: no message comes after that.
        self.on_descriptors: Callable[[], None] | None = None
        self._allowance = Allowance(_BURST, _PER_SECOND)
        self._pause: TimerHandle | None = None
        near.setblocking(False)
        with contextlib.suppress(OSError):
            near.setsockopt(socket.SOL_SOCKET, _SO_PASSRIGHTS, 0)
        # asyncio would print a socket for itself, which asks the kernel four times.
        loop.add_reader(near.fileno(), self._readable)

    @classmethod
    def new(cls, loop: AbstractEventLoop, on_message: Callable[[Message], None]) -> "Pipe":
        """A new pipe with both ends. Raises OSError."""
        return cls(*socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM), loop, on_message)

    @classmethod
    def adopted(
        cls, fd: int, loop: AbstractEventLoop, on_message: Callable[[Message], None]
    ) -> "Pipe":
        """A pipe whose emperor's end is `fd`, which an earlier daemon made."""
        near = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=fd)
        return cls(near, None, loop, on_message)

    @property
    def fd(self) -> int:
        """The emperor's end. When no process has it any more, the vassal ends."""
        return self._near.fileno()

    @property
    def far_fd(self) -> int:
        """The end that a vassal inherits, or -1 once it is closed here."""
        return -1 if self._far is None else self._far.fileno()

    def close_far(self) -> None:
        """Close the vassal's end here, so that the exit of the vassal is an end of file."""
        if self._far is not None:
            self._far.close()

    def send(self, order: bytes) -> None:
        """Send one byte. A vassal that has exited needs no order."""
        with contextlib.suppress(OSError):
            self._near.send(order)

    def close(self) -> None:
        """Close both ends, also for other processes that have them. A vassal that still runs takes
        it for the death of the emperor, and ends."""
        if self._near.fileno() != -1:
            self._stop_reading()
            with contextlib.suppress(OSError):
                # No byte comes after this.
                self._near.shutdown(socket.SHUT_RDWR)
            close_unread(self._near)
        self.close_far()

    def _stop_reading(self) -> None:
        self._loop.remove_reader(self._near)
        if self._pause is not None:
            self._pause.cancel()

    def _rest(self) -> None:
        """Read nothing for a while, if there was much to read lately."""
        wait = self._allowance.take(self._loop.time())
        if wait and self._near.fileno() != -1:
            self._loop.remove_reader(self._near)
            self._pause = self._loop.call_later(
                wait, self._loop.add_reader, self._near, self._readable
            )
            if self.on_flood is not None:
                self.on_flood()

    def _readable(self) -> None:
        try:
            data = peek(self._near, _AT_ONCE)
        except BlockingIOError:
            return
        except SentDescriptors:
            self._loop.remove_reader(self._near)
            if self.on_descriptors is not None:
                self.on_descriptors()
            return
        except OSError:
            data = b""
        if not data:
            # The workers have exited. The master follows within a second, and its pidfd tells.
            self._loop.remove_reader(self._near)
            if self.on_end is not None:
                self.on_end()
            return
        try:
            # Equal bytes that come together count once, so that an app cannot keep us busy.
            for byte in dict.fromkeys(data):
                if message := _MESSAGES.get(byte):
                    self.on_message(message)
        finally:
            # Only now. Should the daemon die before this, the next one reads the bytes again.
            if self._near.fileno() != -1:
                self._near.recv(len(data))
            self._rest()
