"""The users and groups of this machine, from passwd and group or whatever nsswitch.conf names.

Without a descriptor the C library finds nobody, and does not say why. Then all of this raises
OSError, and remembers nothing: a user could lose its apps, or a group its members, for long.
"""

import grp
import os
import pwd
import re
from dataclasses import replace
from pathlib import Path

from emperor.model.spec import Identity, numeric_id

_USERS, _GROUPS = "/etc/passwd", "/etc/group"

# Another one after each change of a file.
Version = tuple[int, int]


def own_user() -> Identity:
    """The user of this process."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Identity(uid, gid, None)
    return replace(_identity(entry), gid=gid)


class Memberships:
    """Who is in a group. A group is looked up again when the file of groups has changed, so that a
    directory service is not asked at each start of an app."""

    def __init__(self) -> None:
        self._version: Version | None = None
        self._members: dict[int, frozenset[str]] = {}

    def has(self, user: Identity, gid: int) -> bool:
        """Whether initgroups(3) gives the user that group, or it is its own."""
        return user.gid == gid or user.user in self._members_of(gid)

    def _members_of(self, gid: int) -> frozenset[str]:
        if (version := _version(_GROUPS)) != self._version:
            self._version, self._members = version, {}
        if gid not in self._members:
            self._members[gid] = frozenset(_listed(gid))
        return self._members[gid]


def _listed(gid: int) -> list[str]:
    try:
        return grp.getgrgid(gid).gr_mem
    except KeyError:
        require_descriptor()
        return []


class ListedGroups:
    """The groups of users by /etc/group, which is read again when it has changed. A directory
    service is not asked: it could hold the daemon up at the start of an app."""

    def __init__(self) -> None:
        self._version: Version | None = None
        self._of: dict[str, frozenset[int]] = {}

    def of(self, user: str | None) -> frozenset[int]:
        """The groups that list this user as a member."""
        if (version := _version(_GROUPS)) != self._version:
            self._of, self._version = _by_member(Path(_GROUPS).read_text(errors="replace")), version
        return self._of.get(user or "", frozenset())


def _by_member(groups: str) -> dict[str, frozenset[int]]:
    """The groups of each member, by the text of group(5)."""
    found: dict[str, set[int]] = {}
    for line in groups.splitlines():
        match line.split(":"):
            case [_, _, number, members] if number.isdecimal():
                for member in filter(None, members.split(",")):
                    found.setdefault(member.strip(), set()).add(int(number))
    return {member: frozenset(gids) for member, gids in found.items()}


class Registered:
    """Tells whether a user still has the number that it had when its ini was read. This asks
    /etc/passwd alone, since a directory service could hold the daemon up at the start of an app."""

    def __init__(self) -> None:
        self._version: Version | None = None
        self._found: dict[Identity, str] = {}

    def why_another(self, user: Identity) -> str:
        """Why an app must not run as that number; empty: it may, or the user is not listed."""
        if (version := _version(_USERS)) != self._version:
            self._version, self._found = version, {}
        if user not in self._found:
            self._found[user] = _why_another(user, Path(_USERS).read_text(errors="replace"))
        return self._found[user]


def _why_another(user: Identity, users: str) -> str:
    """Why an app must not run as that number, by the text of passwd(5)."""
    if user.user is None:
        return ""
    if number := re.search(rf"^{re.escape(user.user)}:[^:\n]*:(\d+):", users, re.MULTILINE):
        is_same = int(number[1]) == user.uid
        return "" if is_same else f"{user.user} has uid {number[1]} now, and had {user.uid}"
    if name := re.search(rf"^([^:\n]+):[^:\n]*:{user.uid}:", users, re.MULTILINE):
        return f"uid {user.uid} is {name[1]}'s now, and was {user.user}'s"
    return ""


class SystemAccounts:
    """Looks users up by name or number.

    All users that can be listed are read at once: a getpwuid(3) for each of 10,000 tenants would
    read the whole of passwd each time. They are read again after a change of passwd. Users whom a
    directory service does not list are looked up one by one. The number of a group that was found
    is kept until the file of groups changes.
    """

    def __init__(self) -> None:
        self._version: Version | None = None
        # By name and by number.
        self._users: dict[str, Identity] = {}
        self._groups_version: Version | None = None
        self._groups: dict[str, int] = {}
        self.daemon = own_user()
        self._memberships = Memberships()

    def user(self, name: str) -> Identity | None:
        """The user with its primary group; None when there is none."""
        if (version := _version(_USERS)) != self._version:
            self._users, self._version = _all_users(), version
        if name in self._users:
            return self._users[name]
        try:
            number = numeric_id(name)
            return _identity(pwd.getpwnam(name) if number is None else pwd.getpwuid(number))
        except KeyError:
            require_descriptor()
            return None

    def name(self, uid: int | None) -> str:
        """The name of a user, its number where it has none. None is the daemon's user."""
        user = self.daemon
        if uid is not None:
            try:
                user = self.user(str(uid)) or Identity(uid, uid, None)
            except OSError:
                return str(uid)
        return user.user or str(user.uid)

    def is_member(self, user: Identity, gid: int) -> bool:
        """Whether the user gets that group at a login, or has it as its own."""
        return self._memberships.has(user, gid)

    def group(self, name: str) -> int | None:
        """The gid of that group, a number as it is; None when there is no such name."""
        if (number := numeric_id(name)) is not None:
            return number
        if (version := _version(_GROUPS)) != self._groups_version:
            self._groups, self._groups_version = {}, version
        groups = self._groups  # another thread may find that the file has changed
        found = groups.get(name)
        if found is None and (found := group_id(name)) is not None:
            groups[name] = found
        return found


def group_id(name: str) -> int | None:
    """The gid of that group, a number as it is; None when there is no such name."""
    try:
        number = numeric_id(name)
        return grp.getgrnam(name).gr_gid if number is None else number
    except KeyError:
        require_descriptor()
        return None


def require_descriptor() -> None:
    """Raise OSError where the C library could not look for a user or a group."""
    os.close(os.open(_USERS, os.O_RDONLY | os.O_CLOEXEC))


def _all_users() -> dict[str, Identity]:
    """The users that can be listed, by name and by number. Of several with the same, the first one
    counts. A name that could be a number counts as that number alone."""
    found = [_identity(entry) for entry in reversed(pwd.getpwall())]
    require_descriptor()
    by_name = {user.user: user for user in found if user.user and numeric_id(user.user) is None}
    return by_name | {str(user.uid): user for user in found}


def _version(path: str) -> Version:
    info = os.stat(path)
    return info.st_ino, info.st_mtime_ns


def _identity(entry: pwd.struct_passwd) -> Identity:
    return Identity(entry.pw_uid, entry.pw_gid, entry.pw_name, entry.pw_dir or "/")
