"""The addresses of this machine, and which process listens where."""

import errno
import socket
from collections.abc import Iterator
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
        """Whether a socket can be bound to an IPv4 address, or to an IPv6 address in []."""
        family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        try:
            with socket.socket(family) as probe:
                probe.bind((host.strip("[]"), 0))
        except OSError as error:
            return error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
        return True

    def listener(self, host: str, port: int) -> Listening | None:
        """A process that listens at the port, so that `host`, or all hosts if it is empty, cannot
        be bound. None also for a process that this one may not look at."""
        for there, pid in _listeners(port):
            if (not host or there in _ANY or there == host.strip("[]")) and pid is not None:
                return _listening(pid)
        return None

    def is_listening(self, host: str, port: int) -> bool:
        """Whether any process listens at the port of that host, or of all hosts. A name counts as
        any host."""
        wanted = host.strip("[]")
        is_name = not any(character in ".:" for character in wanted)
        return any(is_name or there in _ANY or there == wanted for there, _ in _listeners(port))


def _listeners(port: int) -> Iterator[tuple[str, int | None]]:
    """The hosts at whose port a process listens, and its pid if that may be known."""
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr:
            there, there_port = connection.laddr
            if port == there_port:
                yield there, connection.pid


def _listening(pid: int) -> Listening | None:
    try:
        process = psutil.Process(pid)
        return Listening(pid, process.name(), tuple(process.cmdline()))
    except psutil.Error:
        return None
