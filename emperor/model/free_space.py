"""Decides whether a file system is short of space."""

from dataclasses import dataclass

# Short is what has less than both: five percent of a large disk are many days of logs.
_SHORT_SHARE, _SHORT_BYTES = 0.05, 2 << 30
_SHORT_FILES_SHARE = 0.02
# It has space again with so many times as much, so that no notice follows another around the bound.
_AGAIN = 1.5


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """The space on a file system, in bytes and in files, and the number of its device. `files` is 0
    where it has as many as it has bytes for."""

    device: int
    free_bytes: int
    bytes: int
    free_files: int
    files: int


def shortage(space: FreeSpace, was_short: bool) -> str | None:
    """What is short, in words; None where there is enough."""
    margin = _AGAIN if was_short else 1.0
    least = min(space.bytes * _SHORT_SHARE, _SHORT_BYTES) * margin
    if space.free_bytes < least:
        return f"{space.free_bytes >> 20} MB of {space.bytes >> 20} MB are free"
    if space.files and space.free_files < space.files * _SHORT_FILES_SHARE * margin:
        return f"{space.free_files} of {space.files} inodes are free"
    return None
