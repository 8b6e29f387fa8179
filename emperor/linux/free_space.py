"""How much space of a file system is free."""

import os

from emperor.model.free_space import FreeSpace


def free_space_at(folder: os.PathLike[str]) -> FreeSpace:
    """The free space of the file system that the folder is on. The call may take as long as the
    disk. Raises OSError."""
    device, found = os.stat(folder).st_dev, os.statvfs(folder)
    unit = found.f_frsize
    free, all_of_it = found.f_bavail * unit, found.f_blocks * unit
    return FreeSpace(device, free, all_of_it, found.f_favail, found.f_files)
