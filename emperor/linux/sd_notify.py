"""Tells systemd that the daemon is ready, alive, or stopping, by sd_notify(3)."""

import os
import socket
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Self


class Notifier:
    """Sends datagrams to NOTIFY_SOCKET, or nothing if it is not set. A context manager.

    `watchdog_seconds` is how long systemd waits for a sign of life; 0.0: it has no watchdog.
    """

    def __init__(self, address: str | None, watchdog_seconds: float = 0.0) -> None:
        self.watchdog_seconds = watchdog_seconds
        # "@" stands for the NUL byte of an abstract address.
        self._address = "\0" + address[1:] if address and address[0] == "@" else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Notifier":
        """Reads NOTIFY_SOCKET, and WATCHDOG_USEC if WATCHDOG_PID is this process."""
        own_pid = str(os.getpid())
        is_ours = environment.get("WATCHDOG_PID", own_pid) == own_pid
        microseconds = environment.get("WATCHDOG_USEC", "") if is_ours else ""
        seconds = int(microseconds) / 1e6 if microseconds.isdecimal() else 0.0
        return cls(environment.get("NOTIFY_SOCKET"), seconds)

    def ready(self) -> None:
        """All vassals listen."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Another version takes over, and will say when it is ready."""
        self._send("RELOADING=1\nWATCHDOG=1")

    def stopping(self) -> None:
        """The stop has begun."""
        self._send("STOPPING=1")

    def extend_timeout(self, seconds: float) -> None:
        """Allow so many seconds from now for a stop, even if TimeoutStopSec= is shorter."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    def alive(self) -> None:
        """The event loop runs."""
        self._send("WATCHDOG=1")

    def store(self, name: str, fd: int) -> None:
        """Have systemd keep that descriptor until the service is stopped, and pass it to the next
        process. Without FDPOLL=0 systemd would close it at its first event."""
        self._send(f"FDSTORE=1\nFDNAME={name}\nFDPOLL=0", [fd])

    def status(self, text: str) -> None:
        """Set the text for `systemctl status`. On a line of its own it could be another order."""
        self._send(f"STATUS={' '.join(text.splitlines())}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _send(self, message: str, fds: Sequence[int] = ()) -> None:
        if self._address:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
            # A systemd that is busy must not stop the daemon.
            with suppress(OSError):
                self._socket.sendmsg([message.encode()], rights, 0, self._address)
