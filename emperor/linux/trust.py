"""Finds users who could make a path lead to another file.

A tenant can redirect a link in the vassals folder that passes through the tenant's own folder, also
after the daemon has read it: uWSGI may then read another file than the daemon saw.
"""

import grp
import os
import pwd
import stat
from collections import Counter
from functools import lru_cache

from emperor.linux.accounts import require_descriptor

_MOST_LINKS = 40
_ACL = "system.posix_acl_access"


def others_may_write(info: os.stat_result, place: str | int | os.PathLike[str]) -> bool:
    """Whether any user besides the owner and root may write to the file or folder `place`, a path
    or a descriptor, whose status is `info`.

    The group root may, and so may a group that only the owner is in, as sshd(8) and sudo(8) have
    it: with a umask of 002 all files of a user are such. The bits of a group also stand for an
    access list (acl(5)), which may name any user.
    """
    if info.st_mode & stat.S_IWOTH:
        return True
    if not info.st_mode & stat.S_IWGRP:
        return False
    is_private = info.st_gid == 0 or _is_own_group(info.st_uid, info.st_gid)
    return not is_private or _has_access_list(place)


def _is_own_group(uid: int, gid: int) -> bool:
    """Whether that is the group that adduser(8) makes for this user alone."""
    versions = [os.stat(path) for path in ("/etc/passwd", "/etc/group")]
    try:
        return (uid, gid) in _own_groups(*((each.st_ino, each.st_mtime_ns) for each in versions))
    except OSError:  # no descriptor is left, so that nobody knows
        return False


@lru_cache(maxsize=1)
def _own_groups(*_versions: tuple[int, int]) -> frozenset[tuple[int, int]]:
    """The uid of each user with a group of its own, and the gid. To look up one user reads all of
    passwd, so for thousands of inis they are read together. Raises OSError."""
    users = pwd.getpwall()
    members = Counter(user.pw_gid for user in users)
    groups = {group.gr_gid: group for group in grp.getgrall()}
    require_descriptor()
    return frozenset(
        (user.pw_uid, user.pw_gid)
        for user in users
        if (group := groups.get(user.pw_gid))
        and group.gr_name == user.pw_name
        and set(group.gr_mem) <= {user.pw_name}
        and members[user.pw_gid] == 1
    )


def _has_access_list(place: str | int | os.PathLike[str]) -> bool:
    try:
        return bool(os.getxattr(place, _ACL))
    except OSError:
        return False


def open_to_others(path: str) -> str | None:
    """The file or folder on an absolute path, its end included, that other users than root and the
    user of this process can change; None where there is none.

    Raises OSError where the path does not exist.
    """
    if where := who_may_turn(path, os.geteuid()):
        return where
    info = os.stat(path)
    is_ours = info.st_uid in (0, os.geteuid()) and not others_may_write(info, path)
    return None if is_ours else path


def closing(place: str) -> str:
    """What mends a file or folder that others than root can change."""
    return f"chown root:root {place}, chmod go-w {place}"


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
            info.st_uid not in trusted or (not sticky and others_may_write(info, there))
        ):
            return there
        here = there
    return None
