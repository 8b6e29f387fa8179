"""Files are read ahead with the rights of a user, and nothing holds that up."""

import ctypes
import mmap
import os
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from pwd import getpwnam

import pytest

from emperor.linux.read_ahead import ReadAhead, are_cached, read_ahead
from emperor.model.spec import Identity
from tests.eventually import eventually
from tests.traces import DISK, public_folder

_ENTRY = getpwnam("games")
_USER = Identity(_ENTRY.pw_uid, _ENTRY.pw_gid, "games")


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder of files that can be on the disk and not in memory."""
    with public_folder(DISK) as folder:
        yield folder


def in_memory(path: str) -> bool:
    """Whether the first page is in the page cache, by mincore(2). To read it would bring it in."""
    fd = os.open(path, os.O_RDWR)
    with mmap.mmap(fd, mmap.PAGESIZE) as mapped:
        page = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
        answer = ctypes.create_string_buffer(1)
        assert ctypes.CDLL(None).mincore(ctypes.c_void_p(page), mmap.PAGESIZE, answer) == 0
    os.close(fd)
    return bool(answer.raw[0] & 1)


def dropped(path: Path) -> str:
    """A file that is on the disk and not in memory."""
    path.write_bytes(b"x" * 10_000)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if in_memory(str(path)):
        pytest.skip(f"{path} is on a file system in memory")
    return str(path)


def begin(user: Identity | None, paths: Sequence[str]) -> None:
    """Read them ahead, to the end."""
    before = threading.active_count()  # a test before this one may have left some
    ReadAhead().begin(user, lambda: paths)
    eventually(lambda: threading.active_count() <= before)


def test_files_are_read_into_memory(disk: Path) -> None:
    paths = [dropped(disk / name) for name in "abc"]
    begin(None, paths)
    eventually(lambda: all(map(in_memory, paths)))
    assert are_cached(paths)


def test_a_user_reads_nothing_that_it_may_not(disk: Path) -> None:
    closed = {dropped(disk / f"{mode:o}"): mode for mode in (0o600, 0o640)}
    for path, mode in closed.items():
        os.chmod(path, mode)
    seen = dropped(disk / "open")
    groups = os.getgroups()
    assert 0 in (os.getegid(), *groups)
    begin(_USER, [*closed, seen])
    eventually(lambda: in_memory(seen))
    assert not [path for path in closed if in_memory(path)]
    assert os.getgroups() == groups


def test_neither_a_pipe_nor_a_link_is_followed(disk: Path) -> None:
    os.mkfifo(disk / "pipe")
    target = dropped(disk / "target")
    (disk / "link").symlink_to(target)
    read_ahead([str(disk / name) for name in ("pipe", "link", "missing", ".")])
    read_ahead(["/dev/zero"])
    assert not in_memory(target)


def test_one_user_has_one_thread() -> None:
    before = threading.active_count()
    ahead, go_on, calls = ReadAhead(), threading.Event(), list[int]()

    def hangs(number: int) -> list[str]:
        calls.append(number)
        go_on.wait()
        return []

    for _ in range(3):
        ahead.begin(_USER, partial(hangs, 1))
    ahead.begin(None, partial(hangs, 2))
    eventually(lambda: sorted(calls) == [1, 2])
    go_on.set()
    eventually(lambda: threading.active_count() <= before)
