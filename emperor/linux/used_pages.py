"""Tells which pages of memory a process has used since it was forked, by /proc/PID/pagemap.

The kernel gives the numbers of page frames to CAP_SYS_ADMIN alone. Without it, nothing was used.
"""

import os
import struct
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Of Documentation/admin-guide/mm/pagemap.rst.
_ENTRY_BYTES = 8
_PRESENT, _IS_OF_FILE = 1 << 63, 1 << 61
_FRAME = (1 << 55) - 1
# Compared at once; most of them are the same.
_PART = 256
_RUN = struct.Struct("=QII")


@dataclass(frozen=True, slots=True)
class Used:
    """The numbers of pages that a process has written to, and of those of files that it has only
    read, where the process from which it was forked has the same memory."""

    written: frozenset[int]
    read: frozenset[int]

    def __and__(self, other: "Used") -> "Used":
        """What both have used."""
        return Used(self.written & other.written, self.read & other.read)

    def packed(self, most: int) -> bytes:
        """The pages as bytes, in runs (see `_runs`): at most `most` that were written, and `most`
        that were read."""
        chosen = sorted(self.written)[:most]
        found = [_RUN.pack(*run, True) for run in _runs(chosen)]
        found += [_RUN.pack(*run, False) for run in _runs(sorted(self.read)[:most])]
        return b"".join(found)


NOTHING_USED = Used(frozenset(), frozenset())


def used_since_fork(child: int, parent: int) -> Used:
    """What a process has used since it was forked from another one that still runs. Raises OSError.
    May wait, see linux/timed_query."""
    written: set[int] = set()
    read: set[int] = set()
    with (
        open(f"/proc/{child}/pagemap", "rb", 0) as of_child,
        open(f"/proc/{parent}/pagemap", "rb", 0) as of_parent,
    ):
        for first, end in _mappings(parent):
            before = _entries(of_parent.fileno(), first, end)
            now = _entries(of_child.fileno(), first, end)
            for page, entry in _different(first, before, now):
                (read if entry & _IS_OF_FILE else written).add(page)
    return Used(frozenset(written), frozenset(read))


def _different(first: int, before: Sequence[int], now: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The pages that the child has, and the parent has not or has others: number and entry."""
    for part in range(0, len(before), _PART):
        old, new = before[part : part + _PART], now[part : part + _PART]
        if old == new:
            continue
        for page, (was, entry) in enumerate(zip(old, new, strict=False), first + part):
            is_there = entry & _PRESENT and entry & _FRAME
            if is_there and (entry & _IS_OF_FILE or was & _FRAME != entry & _FRAME):
                yield page, entry


def _entries(pagemap: int, first: int, end: int) -> Sequence[int]:
    count = (end - first) * _ENTRY_BYTES
    data = os.pread(pagemap, count, first * _ENTRY_BYTES)
    return array("Q", data[: len(data) - len(data) % _ENTRY_BYTES])


def _mappings(pid: int) -> Iterator[tuple[int, int]]:
    """The first page of each mapping, and the page behind it, that is private to the process."""
    size = os.sysconf("SC_PAGE_SIZE")
    with open(f"/proc/{pid}/maps", "rb") as maps:
        for line in maps:
            place, rights, *_, name = line.split(maxsplit=5)
            if rights.startswith(b"r") and rights.endswith(b"p") and not name.startswith(b"[v"):
                first, _, end = place.partition(b"-")
                yield int(first, 16) // size, int(end, 16) // size


def _runs(pages: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first page of each run of neighbours, and how many there are."""
    first = count = 0
    for page in pages:
        if count and page == first + count:
            count += 1
            continue
        if count:
            yield first, count
        first, count = page, 1
    if count:
        yield first, count
