"""sd_notify(3): tells systemd that the daemon is ready, how it is, and that it is alive."""

import os
import socket
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Self


class Notifier:
    """Datagrams to NOTIFY_SOCKET; nothing at all without one. A context manager.

    `watchdog_seconds` is how long systemd waits for a sign of life, 0.0 when it does not.
    """

    def __init__(self, address: str | None, watchdog_seconds: float = 0.0) -> None:
        self.watchdog_seconds = watchdog_seconds
        # "@" stands for the NUL byte of an abstract address.
        self._address = "\0" + address[1:] if address and address[0] == "@" else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Notifier":
        """As systemd set it: NOTIFY_SOCKET, and WATCHDOG_USEC if it is meant for this process."""
        own_pid = str(os.getpid())
        is_ours = environment.get("WATCHDOG_PID", own_pid) == own_pid
        microseconds = environment.get("WATCHDOG_USEC", "") if is_ours else ""
        seconds = int(microseconds) / 1e6 if microseconds.isdecimal() else 0.0
        return cls(environment.get("NOTIFY_SOCKET"), seconds)

    def ready(self) -> None:
        """All vassals listen."""
        self._send("READY=1")

    def reloading(self) -> None:
        """A newer version takes this place; it is ready when it says so."""
        self._send("RELOADING=1\nWATCHDOG=1")

    def stopping(self) -> None:
        """From here on vassals drain."""
        self._send("STOPPING=1")

    def extend_timeout(self, seconds: float) -> None:
        """What goes on, the stop say, lawfully takes so long from now, whatever the unit allows."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    def alive(self) -> None:
        """The loop goes round."""
        self._send("WATCHDOG=1")

    def store(self, name: str, fd: int) -> None:
        """Keep that descriptor until the service is stopped, and give it to whoever comes next.
        Without FDPOLL=0 systemd would close it as soon as it can be read or has an error."""
        self._send(f"FDSTORE=1\nFDNAME={name}\nFDPOLL=0", [fd])

    def status(self, text: str) -> None:
        """One line for `systemctl status`: another line would be another order to systemd."""
        self._send(f"STATUS={' '.join(text.splitlines())}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _send(self, message: str, fds: Sequence[int] = ()) -> None:
        if self._address:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
            # A manager that is away or busy must not stop the daemon.
            with suppress(OSError):
                self._socket.sendmsg([message.encode()], rights, 0, self._address)
