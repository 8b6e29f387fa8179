"""Whose process is at the other end of a connection on the loopback interface."""

import socket
import subprocess

from emperor.linux.loopback_peer import user_of
from tests.eventually import eventually

CONNECT = "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1])));"


def test_the_kernel_tells_whose_process_has_connected() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = listener.getsockname()
        command = ["setpriv", "--reuid=5", "--clear-groups", "--", "/usr/bin/python3", "-c"]
        with subprocess.Popen([*command, f"{CONNECT} s.recv(1)", str(here[1])]):
            connection, peer = listener.accept()
            with connection:
                assert user_of(peer, here) == 5
                assert user_of((peer[0], 1), here) is None


def test_nobody_is_at_an_end_that_is_closed() -> None:
    """The kernel counts it as root's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = listener.getsockname()
        with socket.create_connection(here) as client:
            connection, peer = listener.accept()
        with connection:
            eventually(lambda: connection.recv(1) == b"")
            assert user_of(peer, here) is None
            assert client.fileno() == -1
