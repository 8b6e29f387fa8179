"""Which pages a process has used since it was forked."""

import mmap
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from emperor.linux.used_pages import Used, used_since_fork

PAGES = 40
_PAGE_BYTES = mmap.PAGESIZE


@contextmanager
def forked(memory: mmap.mmap, writes_to: list[int]) -> Iterator[int]:
    """A process that has written to these pages of `memory`."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        for page in writes_to:
            memory[page * _PAGE_BYTES] = 2
        os.write(writer, b"!")
        signal.pause()
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_pages_that_a_fork_has_written_to_are_found() -> None:
    memory = mmap.mmap(-1, PAGES * _PAGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for page in range(PAGES):
        memory[page * _PAGE_BYTES] = 1
    wanted = [*range(5), 17, 39]
    with forked(memory, []) as idle, forked(memory, wanted) as busy:
        more = used_since_fork(busy, os.getpid()).written
        more -= used_since_fork(idle, os.getpid()).written
    run = next(page for page in sorted(more) if {page + each for each in wanted} <= more)
    assert {page - run for page in more if run <= page < run + PAGES} == {*wanted}


def test_runs_of_pages_are_packed() -> None:
    used = Used(frozenset({7, 5, 6, 9}), frozenset({3}))
    packed = used.packed(100)
    assert len(packed) == 3 * 16
    assert packed[:16] == (5).to_bytes(8, "little") + (3).to_bytes(4, "little") + b"\1\0\0\0"
    assert used.packed(2) == Used(frozenset({5, 6}), frozenset({3})).packed(100)
    assert Used(frozenset(), frozenset()).packed(100) == b""


def test_what_two_have_in_common_remains() -> None:
    one, other = Used(frozenset({1, 2}), frozenset({5})), Used(frozenset({2, 3}), frozenset())
    assert one & other == Used(frozenset({2}), frozenset())
