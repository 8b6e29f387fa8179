"""What systemd does for a service with a descriptor store, without systemd: it keeps what it is
asked to keep, and gives it to the next process."""

import fcntl
import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Self

_LARGEST = 4096
_OUT_OF_THE_WAY = 100
_FIRST = 3


class FdStore:
    """Descriptors by name, which outlive the daemons they are kept for. A context manager."""

    def __init__(self, address: Path) -> None:
        self._address = str(address)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._kept: list[tuple[str, int]] = []
        self._told: list[str] = []

    def __enter__(self) -> Self:
        self._socket.bind(self._address)
        self._socket.setblocking(False)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        os.unlink(self._address)
        for _name, fd in self._kept:
            os.close(fd)

    @property
    def names(self) -> list[str]:
        """The names of all kept descriptors."""
        self._listen()
        return [name for name, _ in self._kept]

    @property
    def kept(self) -> dict[str, int]:
        """The descriptors, by name; they stay ours."""
        self._listen()
        return dict(self._kept)

    @property
    def told(self) -> list[str]:
        """All lines that the daemons have sent."""
        self._listen()
        return self._told

    def keep(self, name: str, fd: int) -> None:
        """Keep a descriptor from before the start, as a socket unit does."""
        self._kept.append((name, fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)))

    def start(self, command: Sequence[str], stderr: IO[bytes]) -> "subprocess.Popen[bytes]":
        """Start a daemon with all kept descriptors."""
        self._listen()
        env = os.environ | {"NOTIFY_SOCKET": self._address}
        given = [fd for _, fd in self._kept]
        moves = "".join(f" {number}<&{fd}" for number, fd in enumerate(given, _FIRST))
        moves += "".join(f" {fd}<&-" for fd in given)
        if given:
            env["LISTEN_FDS"] = str(len(given))
            env["LISTEN_FDNAMES"] = ":".join(name for name, _ in self._kept)
        # The variable has to name the very process that becomes the daemon.
        script = f'LISTEN_PID=$$ exec "$@"{moves}'
        return subprocess.Popen(
            ["/bin/bash", "-c", script, "bash", *command],
            stdin=subprocess.DEVNULL,
            stderr=stderr,
            env=env,
            pass_fds=given,
        )

    def _listen(self) -> None:
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._socket, _LARGEST, 8)
            except BlockingIOError:
                return
            lines = data.decode().splitlines()
            self._told += lines
            for fd in fds:
                assert "FDSTORE=1" in lines
                assert "FDPOLL=0" in lines
                [name] = [line.removeprefix("FDNAME=") for line in lines if "FDNAME=" in line]
                self.keep(name, fd)
                os.close(fd)
