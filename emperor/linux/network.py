"""The addresses of this machine, and which process listens where."""

import errno
import socket
from dataclasses import dataclass

import psutil

_ANY = frozenset({"0.0.0.0", "::"})


@dataclass(frozen=True, slots=True)
class Listening:
    """A process that listens, with its name and command."""

    pid: int
    name: str
    command: tuple[str, ...]

    def runs(self, ini: str) -> bool:
        """Whether it was started with that file."""
        return any(word.rpartition("/")[2] == ini for word in self.command)


class Network:
    """The network of this process."""

    def has_address(self, host: str) -> bool:
        """Whether a socket can be bound to an IPv4 address."""
        with socket.socket() as probe:
            try:
                probe.bind((host, 0))
            except OSError as error:
                return error.errno != errno.EADDRNOTAVAIL
        return True

    def listener(self, host: str, port: int) -> Listening | None:
        """A process that listens at the port, so that `host`, or all hosts if it is empty, cannot
        be bound. None also for a process that this one may not look at."""
        for connection in psutil.net_connections("tcp"):
            if connection.status != psutil.CONN_LISTEN or not connection.laddr:
                continue
            there, there_port = connection.laddr
            excludes = host in ("", there) or there in _ANY
            if port == there_port and excludes and connection.pid is not None:
                return _listening(connection.pid)
        return None


def _listening(pid: int) -> Listening | None:
    try:
        process = psutil.Process(pid)
        return Listening(pid, process.name(), tuple(process.cmdline()))
    except psutil.Error:
        return None
