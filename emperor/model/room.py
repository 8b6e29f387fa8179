"""Decides whether a file system is short of room."""

from dataclasses import dataclass

# Short is what has less than both: five percent of a large disk are many days of logs.
_SHORT_SHARE, _SHORT_BYTES = 0.05, 2 << 30
_SHORT_FILES_SHARE = 0.02
# It has room again with so many times as much, so that no notice follows another around the bound.
_AGAIN = 1.5


@dataclass(frozen=True, slots=True)
class Room:
    """The room on a file system, in bytes and in files, and the number of its device. `files` is 0
    where it has as many as it has bytes for."""

    device: int
    free_bytes: int
    bytes: int
    free_files: int
    files: int


def shortage(room: Room, was_short: bool) -> str | None:
    """What is short, in words; None where there is room."""
    margin = _AGAIN if was_short else 1.0
    least = min(room.bytes * _SHORT_SHARE, _SHORT_BYTES) * margin
    if room.free_bytes < least:
        return f"{room.free_bytes >> 20} MB of {room.bytes >> 20} MB are free"
    if room.files and room.free_files < room.files * _SHORT_FILES_SHARE * margin:
        return f"{room.free_files} of {room.files} inodes are free"
    return None
