"""How much room a file system has."""

import os

from emperor.model.room import Room


def room_at(folder: os.PathLike[str]) -> Room:
    """Of the file system that the folder is on. It may take as long as the disk. Raises OSError."""
    device, found = os.stat(folder).st_dev, os.statvfs(folder)
    unit = found.f_frsize
    free, all_of_it = found.f_bavail * unit, found.f_blocks * unit
    return Room(device, free, all_of_it, found.f_favail, found.f_files)
