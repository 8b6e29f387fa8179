"""The user and groups of a process that has connected, as the kernel tells them."""

import socket
import subprocess
from collections.abc import Iterator

import pytest

from emperor.linux.peer import peer_of
from emperor.model.authority import Peer
from tests.traces import public_folder

CONNECT = "import socket, sys; s = socket.socket(1); s.connect(sys.argv[1]); s.recv(1)"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that everybody may connect to."""
    with public_folder() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = folder / "it"
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen()
        yield listener


@pytest.mark.parametrize(
    ("how", "groups"),
    [
        ("--clear-groups", ()),
        ("--groups=7,9", (7, 9)),
        (f"--groups={','.join(map(str, range(1000, 2000)))}", range(1000, 2000)),
    ],
    ids=["no group", "two groups", "a thousand groups"],
)
def test_the_kernel_tells_who_has_connected(
    listener: socket.socket, how: str, groups: tuple[int, ...]
) -> None:
    command = ["setpriv", "--reuid=5", "--regid=60", how, "--", "/usr/bin/python3", "-c", CONNECT]
    with subprocess.Popen([*command, listener.getsockname()]):
        connection, _ = listener.accept()
        with connection:
            assert peer_of(connection) == Peer(5, 60, frozenset(groups))


def test_a_connection_that_has_ended_is_an_error() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    assert peer_of(ours).uid == 0, "the kernel remembers who it was"
    ours.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        peer_of(ours)
