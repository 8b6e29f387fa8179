"""A thread that spawns processes from a small table of descriptors."""

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from emperor.linux import spawn_thread as module
from emperor.linux.spawn_thread import SpawnThread


@pytest.fixture
def thread() -> Iterator[SpawnThread]:
    thread = SpawnThread()
    yield thread
    thread.close()


def open_in_this_thread() -> list[str]:
    return [os.readlink(f"/proc/thread-self/fd/{fd}") for fd in _numbers()]


def _numbers() -> list[str]:
    listed = os.listdir("/proc/thread-self/fd")
    return [fd for fd in listed if os.path.lexists(f"/proc/thread-self/fd/{fd}")]


def test_it_has_no_descriptor_but_those_that_it_is_given(thread: SpawnThread) -> None:
    seen: list[str] = []

    def look(fds: Mapping[int, int]) -> int:
        seen.extend(_numbers())
        assert os.readlink(f"/proc/thread-self/fd/{fds[7]}") == "/dev/zero"
        return 5

    with Path("/dev/zero").open("rb") as zero:
        for _ in range(3):
            seen.clear()
            assert thread.run(look, {7: zero.fileno()}) == 5
            assert len([fd for fd in seen if int(fd) > 2]) <= 2, "its end, and what it was given"
        assert zero.read(1) == b"\0", "it stays open here"


def test_its_children_are_those_of_the_process(thread: SpawnThread) -> None:
    pid = thread.run(lambda _: os.posix_spawn("/bin/sh", ["sh", "-c", "exit 7"], {}), {})
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_an_error_is_raised_where_it_belongs(thread: SpawnThread) -> None:
    with pytest.raises(FileNotFoundError):
        thread.run(lambda _: os.posix_spawn("/no/such/file", ["x"], {}), {})
    assert thread.run(lambda _: 3, {}) == 3


def test_it_takes_no_signal_and_collects_no_garbage(thread: SpawnThread) -> None:
    def look(_: Mapping[int, int]) -> int:
        assert not gc.isenabled()
        assert threading.current_thread() is not threading.main_thread()
        return len(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    assert thread.run(look, {}) > 50
    assert gc.isenabled()
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_without_a_table_of_its_own_the_caller_spawns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CLONE_FILES", -1)  # EINVAL, as EPERM within a sandbox
    thread = SpawnThread()
    assert thread.run(lambda _: threading.get_ident() == threading.main_thread().ident, {}) is True
    thread.close()


def test_nothing_is_left_open_here(thread: SpawnThread) -> None:
    before = len(os.listdir("/proc/self/fd"))
    other = SpawnThread()
    assert len(os.listdir("/proc/self/fd")) == before + 1
    other.close()
    assert len(os.listdir("/proc/self/fd")) == before


_MANY = """
import os, sys, time
from emperor.linux.spawn_thread import SpawnThread
thread = SpawnThread()
fds = [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC) for _ in range(500)]
look = ["ls", "/proc/self/fd"]
os.waitpid(thread.run(lambda _: os.posix_spawnp("ls", look, os.environ), {}), 0)
"""


def test_a_child_of_a_process_with_many_has_few() -> None:
    listed = subprocess.run(
        [sys.executable, "-c", _MANY], stdout=subprocess.PIPE, text=True, check=True
    )
    assert len(listed.stdout.split()) <= 4
