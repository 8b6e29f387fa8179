"""Finds users who could make a path lead to another file.

A tenant can redirect a link in the vassals folder that passes through the tenant's own folder, also
after the daemon has read it: uWSGI may then read another file than the daemon saw.
"""

import os
import stat

_MOST_LINKS = 40


def others_may_write(info: os.stat_result) -> bool:
    """Whether any user besides the owner and the group root may write there."""
    by_group = info.st_mode & stat.S_IWGRP and info.st_gid != 0
    return bool(info.st_mode & stat.S_IWOTH or by_group)


def who_may_turn(path: str, owner: int) -> str | None:
    """The first folder or link of an absolute path that other users can change than root, the user
    of this process and `owner`, the owner of the file at its end; None where there is none.

    Raises OSError where the path does not exist.
    """
    trusted = {0, os.geteuid(), owner}
    pending = path.split("/")[::-1]
    here, links = "", 0
    while pending:
        part = pending.pop()
        if part in ("", "."):
            continue
        if part == "..":
            here = os.path.dirname(here)
            continue
        there = f"{here}/{part}"
        info = os.lstat(there)
        if stat.S_ISLNK(info.st_mode):
            links += 1
            target = os.readlink(there)
            if info.st_uid not in trusted or links > _MOST_LINKS:
                return there
            here = "" if target.startswith("/") else here
            pending += target.split("/")[::-1]
            continue
        sticky = info.st_mode & stat.S_ISVTX
        if stat.S_ISDIR(info.st_mode) and (
            info.st_uid not in trusted or (others_may_write(info) and not sticky)
        ):
            return there
        here = there
    return None
