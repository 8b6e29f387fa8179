"""Tells one version of a file from the next."""

import os

from emperor.model.spec import Stamp


def stamp_of(info: os.stat_result) -> Stamp:
    """The stamp of a version of a file."""
    return Stamp(info.st_ino, info.st_mtime_ns, info.st_size, info.st_uid, info.st_gid)


def has_stamp(path: str, stamp: Stamp | None) -> bool:
    """Whether the file at `path` is that very version; False where there is none."""
    try:
        return stamp_of(os.stat(path)) == stamp
    except OSError:
        return False
