"""What an app sends without being asked is closed where nobody has to wait for it."""

import os
import socket

from emperor.linux.unwanted_fds import close_elsewhere, close_unread
from tests.eventually import eventually
from tests.threads import no_thread_left


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_what_was_not_read_is_discarded_elsewhere() -> None:
    before = open_descriptors()
    near, far = socket.socketpair()
    with far:
        far.send(b"x")
        close_unread(near)
    eventually(lambda: open_descriptors() == before)


def test_without_a_thread_it_stays_open() -> None:
    """To close it here could take as long as an app likes."""
    near, far = socket.socketpair()
    with far:
        far.send(b"x")
        unread, duplicate = near.fileno(), os.dup(far.fileno())
        with no_thread_left():
            close_unread(near)
            close_elsewhere(duplicate)
        assert os.fstat(unread).st_ino != os.fstat(duplicate).st_ino
        os.close(unread)
        os.close(duplicate)
