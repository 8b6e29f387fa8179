"""Gives a new process of an app the sockets that the one before it has bound besides its own.

uWSGI binds such a socket itself, as the user of the app. While that process runs, its successor
could not bind the port, and would take a path away from it. So the successor gets a duplicate of
the socket, and reads a copy of its ini that has the descriptor in the place of the address.
"""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from emperor.linux.listening import listening_sockets
from emperor.linux.unwanted_fds import close_elsewhere
from emperor.model.ports import CannotLaunch
from emperor.model.spec import InheritedSocket, Spec


@dataclass(frozen=True, slots=True)
class Inheritance:
    """Sockets, each by the descriptor that it will be in the new process, and the values for lines
    of its ini that name these descriptors."""

    sockets: Mapping[int, socket.socket]
    values: Mapping[int, str]

    @property
    def fds(self) -> dict[int, int]:
        """The descriptors of the new process, each with that of the daemon."""
        return {target: each.fileno() for target, each in self.sockets.items()}

    def close(self) -> None:
        """Give up the daemon's descriptors."""
        for each in self.sockets.values():
            close_elsewhere(each.detach())


NOTHING = Inheritance({}, {})


def inherit(spec: Spec, earlier: Spec, pid: int, pidfd: int, first: int) -> Inheritance:
    """What a new process by `spec` takes over from the process `pid`, which runs by `earlier`. Its
    descriptors begin at `first`. Raises CannotLaunch where the kernel forbids it."""
    theirs = {(each.address, each.spelled) for each in earlier.inherited}
    wanted = [each for each in spec.inherited if (each.address, each.spelled) in theirs]
    if not wanted or spec.runs_as != earlier.runs_as:
        return NOTHING
    try:
        found = listening_sockets(pid, pidfd)
    except OSError as error:
        raise CannotLaunch(
            f"cannot pass {wanted[0].address} on to a new process: {error.strerror}; set on-change"
            " = restart in [emperor]"
        ) from error
    chosen = [(each, copy) for each in wanted if (copy := _at(each, found))]
    for copy in found:
        if not any(copy is taken for _, taken in chosen):
            close_elsewhere(copy.detach())
    numbered = dict(enumerate(chosen, first))
    return Inheritance(
        {number: copy for number, (_, copy) in numbered.items()},
        {each.line: _value(each, number) for number, (each, _) in numbered.items()},
    )


def _at(wanted: InheritedSocket, found: Sequence[socket.socket]) -> socket.socket | None:
    return next((each for each in found if _is_at(wanted, each)), None)


def _is_at(wanted: InheritedSocket, found: socket.socket) -> bool:
    spelled = wanted.spelled.partition(",")[0]
    match found.family, found.getsockname():
        case socket.AF_UNIX, bytes(name):
            # uWSGI counts a NUL at the end among the bytes of an abstract name.
            return wanted.address == "@" + name.strip(b"\0").decode(errors="replace")
        case socket.AF_UNIX, str(path):
            # uWSGI binds a path as it is written, in the folder that it has entered.
            return path != "" and path == spelled
        case _, (host, port, *_):
            there, _, wanted_port = wanted.address.rpartition(":")
            return wanted_port == str(port) and _is_host(there.strip("[]"), host)
        case _:
            return False


def _is_host(there: str, host: str) -> bool:
    """Whether an address of an ini is that of a socket. A name counts as any."""
    try:
        return ip_address(there) == ip_address(host)
    except ValueError:
        return True


def _value(wanted: InheritedSocket, number: int) -> str:
    # An SSL socket has its certificate and its key behind the address.
    return "".join([f"fd://{number}", *wanted.spelled.partition(",")[1:]])
