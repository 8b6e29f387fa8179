"""Reads the end of a growing file. inotify reports growth and rotation; nothing is polled."""

import errno
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from inotify_simple import INotify, flags

BLOCK = 64 * 1024
# How far from the end the last lines may begin. An app may make a log that is nothing but a hole of
# terabytes.
FARTHEST = 16 * 1024 * 1024


def last(path: Path, lines: int) -> Iterator[bytes]:
    """The last `lines` lines of the file as it is now, in pieces: an app may write faster than they
    are shown. Raises OSError."""
    with FileIO(path) as file:
        end = _seek_to_last(file, lines)
        while _skip_hole(file) and (block := file.read(max(0, min(BLOCK, end - file.tell())))):
            yield block


def follow(path: Path, lines: int) -> Iterator[bytes]:
    """The last `lines` lines, then whatever is appended, without an end. A truncated or replaced
    file is read from its start. A file that does not exist yet is waited for.

    Raises OSError, FileNotFoundError only for the folder.
    """
    is_first = True
    while True:
        with INotify() as notices:
            # The folder, then the file, then its content: a change is either read or told.
            notices.add_watch(path.parent, flags.CREATE | flags.MOVED_TO)
            try:
                notices.add_watch(path, flags.MODIFY)
                file = FileIO(path)
            except FileNotFoundError:
                notices.read()
            else:
                with file:
                    if is_first:
                        _seek_to_last(file, lines)
                    yield from _grow(file, path, notices)
        is_first = False


def _grow(file: FileIO, path: Path, notices: INotify) -> Iterator[bytes]:
    """All of the file from where it stands, until there is another in its place. A writer goes on
    writing to a file that was renamed, until it is told to open a new one."""
    yield from _rest(file)
    while not _is_replaced(file, path):
        notices.read()
        yield from _rest(file)


def _rest(file: FileIO) -> Iterator[bytes]:
    if os.fstat(file.fileno()).st_size < file.tell():
        file.seek(0)
    while _skip_hole(file) and (block := file.read(BLOCK)):
        yield block


def _skip_hole(file: FileIO) -> bool:
    """Seek to the next byte that was written. Returns whether there is one."""
    # The end before the search: what is appended after it must not be skipped.
    at, end = file.tell(), os.fstat(file.fileno()).st_size
    try:
        file.seek(at, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            file.seek(max(at, end))
            return False
    return True


def _is_replaced(file: FileIO, path: Path) -> bool:
    try:
        return not os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _seek_to_last(file: FileIO, lines: int) -> int:
    """Seek to where the last `lines` lines begin, with one block in memory however long those.
    Returns where the file ends."""
    end = position = file.seek(0, os.SEEK_END)
    nearest = max(0, end - FARTHEST)
    while lines and position > nearest:
        size = min(BLOCK, position - nearest)
        position -= size
        file.seek(position)
        block = file.read(size)
        # The very last byte ends a line, if it is a newline: it begins none.
        at = len(block) - (position + size == end)
        while lines and (at := block.rfind(b"\n", 0, at)) >= 0:
            lines -= 1
            file.seek(position + at + 1)
    if lines:
        file.seek(nearest)
    return end
