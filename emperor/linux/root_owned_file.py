"""Reads a file of the administrator's, if no other user could have written it."""

import os
import stat
from collections.abc import Collection
from pathlib import Path

from emperor.linux.trust import others_may_write, who_may_turn


def read_roots(path: Path, most: int, owners: Collection[int] = (0,)) -> bytes:
    """At most `most` bytes of the file, which belongs to one of `owners`. Raises OSError, and
    ValueError for what is no file, or can be changed by others than root."""
    # A FIFO has nobody wait.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise ValueError("it is not a file")
        if info.st_uid not in owners or others_may_write(info, descriptor):
            raise ValueError("others than root can change it; have root own it, with mode 0644")
        if where := who_may_turn(str(path.absolute()), 0):
            raise ValueError(f"others than root can change {where}; have root own that")
        return file.read(most)
