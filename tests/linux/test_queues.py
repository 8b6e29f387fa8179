"""The length of a queue as the kernel tells it."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from emperor.linux.queues import queue_length
from emperor.model.ports import QueueLength

SOMAXCONN = int(Path("/proc/sys/net/core/somaxconn").read_text())


@contextmanager
def listening(path: Path, backlog: int) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(backlog)
        yield listener


@contextmanager
def callers(path: Path, count: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
        yield


def test_pending_connections_are_counted_against_the_capacity(
    tmp_path: Path,
) -> None:
    path = tmp_path / "socket"
    with listening(path, 3) as listener:
        assert queue_length(listener.fileno()) == QueueLength(pending=0, capacity=4)
        with callers(path, 4):
            assert queue_length(listener.fileno()) == QueueLength(pending=4, capacity=4)
            with pytest.raises(BlockingIOError), socket.socket(socket.AF_UNIX) as one_more:
                one_more.setblocking(False)
                one_more.connect(str(path))
            listener.accept()[0].close()
            assert queue_length(listener.fileno()) == QueueLength(pending=3, capacity=4)


def test_the_kernels_own_bound_is_in_the_capacity(tmp_path: Path) -> None:
    with listening(tmp_path / "socket", SOMAXCONN + 10) as listener:
        assert queue_length(listener.fileno()).capacity == SOMAXCONN + 1


def test_each_of_many_is_told_its_own_and_nothing_stays_open(tmp_path: Path) -> None:
    with ExitStack() as stack:
        fds = []
        for count in range(5):
            path = tmp_path / str(count)
            fds.append(stack.enter_context(listening(path, 9)).fileno())
            stack.enter_context(callers(path, count))
        before = os.listdir("/proc/self/fd")
        assert [queue_length(fd).pending for fd in fds] == [0, 1, 2, 3, 4]
        assert os.listdir("/proc/self/fd") == before


def test_what_is_no_unix_socket_is_an_error_that_says_so() -> None:
    with socket.socket() as tcp, pytest.raises(FileNotFoundError, match="cannot see how full"):
        queue_length(tcp.fileno())
