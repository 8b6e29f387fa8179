"""Which process listens at an address, from /proc/net and /proc/PID/fd.

A descriptor is looked at in 3 µs (measured), and a machine may have a million: the search ends
after a time limit, and then only the user is known, which /proc/net tells of each TCP socket.
"""

import os
import pwd
import re
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from emperor.linux.timed_query import ask_each

# CPU time, for which the event loop waits.
LIMIT_SECONDS = 0.03

_LISTENS = "0A"  # include/net/tcp_states.h: TCP_LISTEN
_ANY_HOSTS = frozenset({"0.0.0.0", "::"})


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that listens at an address: its pid, process group and name (comm). All are None
    where the search took too long; `user` is the owner of a TCP socket."""

    pid: int | None = None
    group: int | None = None
    name: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class _Socket:
    inode: str
    uid: int | None = None


def holder_of(address: str, first: Iterable[int] = ()) -> Holder | None:
    """What listens at `address`: HOST:PORT, a path, or @NAME for an abstract socket. None where
    nothing does. The processes `first` are looked at first."""
    found = next(_listeners(address), None)
    if found is None:
        return None
    user = None
    if found.uid is not None:
        with suppress(KeyError):
            user = pwd.getpwuid(found.uid).pw_name
    search = _Search(f"socket:[{found.inode}]", user)
    return next(iter(ask_each(_pids(first), search.look_at)), Holder(user=user))


def _listeners(address: str) -> Iterator[_Socket]:
    host, colon, port = address.rpartition(":")
    if colon and re.fullmatch("[0-9]{1,9}", port) and not address.startswith(("/", "@")):
        yield from _tcp("/proc/net/tcp", host, int(port))
        yield from _tcp("/proc/net/tcp6", host, int(port))
    else:
        yield from _unix(address)


def _tcp(table: str, host: str, port: int) -> Iterator[_Socket]:
    wanted = host.strip("[]")
    for columns in _rows(table):
        local, state, uid, inode = columns[1], columns[3], columns[7], columns[9]
        there, _, there_port = local.partition(":")
        if state != _LISTENS or int(there_port, 16) != port:
            continue
        if wanted in {"", _host(there)} or not _ANY_HOSTS.isdisjoint({wanted, _host(there)}):
            yield _Socket(inode, int(uid))


def _host(words: str) -> str:
    """The address as text. The kernel prints it in words of 32 bits, in the machine's order."""
    raw = b"".join(
        int(words[at : at + 8], 16).to_bytes(4, "little") for at in range(0, len(words), 8)
    )
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


def _unix(path: str) -> Iterator[_Socket]:
    for columns in _rows("/proc/net/unix"):
        if columns[7:] == [path]:
            yield _Socket(columns[6])


def _rows(table: str) -> Iterator[list[str]]:
    with suppress(OSError), open(table, encoding="utf-8", errors="surrogateescape") as lines:
        next(lines, None)
        for line in lines:
            yield line.split()


class _Search:
    """Looks for the process with the socket `link`, and ends when it is found or takes too long."""

    def __init__(self, link: str, user: str | None) -> None:
        self._link = link
        self._user = user
        self._left = LIMIT_SECONDS

    def look_at(self, pid: int) -> Holder | None:
        """The process, if it is the one. May wait."""
        if self._left <= 0:
            return None
        began = time.thread_time()
        holder = self._holder(pid)
        self._left = 0.0 if holder else self._left - (time.thread_time() - began)
        return holder

    def _holder(self, pid: int) -> Holder | None:
        with suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                if os.readlink(f"/proc/{pid}/fd/{fd}") == self._link:
                    return Holder(pid, os.getpgid(pid), _name(pid), self._user)
        return None


def _pids(first: Iterable[int]) -> list[int]:
    # The newest first: a service that has been up for months is rarely in the way.
    others = sorted((int(name) for name in os.listdir("/proc") if name.isdecimal()), reverse=True)
    return list(dict.fromkeys([*first, *others]))


def _name(pid: int) -> str:
    with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as comm:
        return comm.read().strip()
