"""A spare is who has said hello, and nobody else."""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from emperor.bases.spare import Spare, channels, spare_at

# Says hello on the descriptor of its argument, from a process that is no child of who runs it.
HELLO = """
import os, socket, sys
if os.fork() == 0:
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.send(b"h")
    channel.recv(1)
    os._exit(0)
"""


@pytest.fixture
def hello() -> Iterator[tuple[socket.socket, int]]:
    """Our end of the channel of a process that is no child of ours and has said hello, and the
    inode of its end."""
    near, far = channels()
    with near:
        inode = os.fstat(far.fileno()).st_ino
        with far:
            command = [sys.executable, "-c", HELLO, str(far.fileno())]
            subprocess.run(command, pass_fds=[far.fileno()], check=True)
        readable, _, _ = select.select([near], [], [], 60)
        assert readable
        yield near, inode


def test_a_process_that_is_no_child_is_known_by_its_channel(
    hello: tuple[socket.socket, int],
) -> None:
    near, inode = hello
    spare = spare_at(near, os.geteuid(), inode)
    assert spare is not None
    assert spare.waits
    os.kill(spare.pid, signal.SIGKILL)
    select.select([spare.pidfd], [], [], 60)
    assert not spare.waits
    spare.end()


def test_who_has_another_channel_is_no_spare(hello: tuple[socket.socket, int]) -> None:
    near, inode = hello
    assert spare_at(near, os.geteuid(), inode + 1) is None
    assert near.fileno() < 0


def test_where_spares_are_children_another_process_is_none(
    hello: tuple[socket.socket, int],
) -> None:
    near, _ = hello
    spare = spare_at(near, os.geteuid())
    assert isinstance(spare, Spare)
    assert not spare.waits
    spare.end()


# Says hello on the descriptor of its argument, and becomes a process of another user.
CHANGES = """
import os, socket, sys
channel = socket.socket(fileno=int(sys.argv[1]))
channel.send(b"h")
os.setresuid(65534, 65534, 65534)
print("changed", flush=True)
channel.recv(1)
"""


def test_a_number_that_is_another_users_by_now_is_no_spare() -> None:
    """The process that has said hello may have ended, and its number may be given away."""
    near, far = channels()
    with near, far:
        command = [sys.executable, "-c", CHANGES, str(far.fileno())]
        with subprocess.Popen(
            command, pass_fds=[far.fileno()], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout
            assert process.stdout.readline() == "changed\n"
            assert spare_at(near, os.geteuid()) is None
            assert process.poll() is None
            process.kill()


def test_a_process_of_another_user_is_no_spare(hello: tuple[socket.socket, int]) -> None:
    near, inode = hello
    assert spare_at(near, os.geteuid() + 1, inode) is None
