"""Decides which user a vassal runs as. An ini of root's may name any user. The ini of anybody else
runs as the owner of the file, for else a tenant could become root by naming it.
"""

from dataclasses import replace
from typing import Protocol

from emperor.model.definition import BrokenIni, FileOwner
from emperor.model.spec import Identity
from emperor.uwsgi.ini import Ini, Option

ROOT = 0


class Accounts(Protocol):
    """The users and groups of this machine. Each name may also be a number."""

    @property
    def daemon(self) -> Identity:
        """The user that the daemon runs as."""

    def user(self, name: str) -> Identity | None:
        """The user with its primary group, or None if passwd has no such user."""

    def group(self, name: str) -> int | None:
        """The gid of a group, or None if there is no such name. A number needs no entry."""


def identity_of(ini: Ini, owner: FileOwner, accounts: Accounts) -> Identity | None:
    """The user that the vassal runs as, or None for the user of the daemon. Raises BrokenIni.

    An ini that root owns may name any user. Every other ini runs as its owner, with the owner's
    primary group. The group of the file would not do: it may be nginx's, whose members can connect
    to every socket.
    """
    daemon = accounts.daemon
    if daemon.uid != ROOT:
        _refuse_others(daemon, "emperord is not root", ini, accounts)
        return None
    if owner.uid != ROOT:
        user = accounts.user(str(owner.uid))
        if user is None:
            raise BrokenIni(
                f"its owner has uid {owner.uid}, which is no user's",
                "chown it to the user that the app should run as",
            )
        _refuse_others(user, "the ini is not root's", ini, accounts)
        return user
    return _named_user(ini, accounts)


def is_administrator(owner: FileOwner, accounts: Accounts) -> bool:
    """Whether inis of that owner may take what could harm other vassals, any host name for
    example."""
    return owner.uid in (ROOT, accounts.daemon.uid)


def _named_user(ini: Ini, accounts: Accounts) -> Identity | None:
    uid, gid = ini.attribute("uid"), ini.attribute("gid")
    group = None if gid is None else accounts.group(gid.value)
    if gid is not None and group is None:
        raise gid.broken(f"there is no group {gid.value!r}", "create it, or correct gid")
    user = accounts.daemon if uid is None else accounts.user(uid.value)
    if uid is not None and user is None:
        user = _user_without_name(uid, group)
    if user is None or (uid is None and gid is None):
        return None
    return user if group is None else replace(user, gid=group)


def _user_without_name(uid: Option, group: int | None) -> Identity:
    if not (uid.value.isascii() and uid.value.isdecimal()):
        raise uid.broken(f"there is no user {uid.value!r}", "create it, or correct uid")
    if group is None:
        raise uid.broken(f"no user has uid {uid.value}", "name a gid as well")
    return Identity(int(uid.value), group, None)


def _refuse_others(only: Identity, reason: str, ini: Ini, accounts: Accounts) -> None:
    """Raise BrokenIni if the ini names another user or group than those of `only`."""
    for option in ini.emperor:
        if option.key == "uid":
            user = accounts.user(option.value)
            is_same = (user.uid if user else option.value) in (only.uid, str(only.uid))
        elif option.key == "gid":
            is_same = accounts.group(option.value) == only.gid
        else:
            continue
        if not is_same:
            name = only.user or f"uid {only.uid}"
            cause = (
                f"cannot run with {option.key} = {option.value}, since {reason}: it runs as {name}"
            )
            raise option.broken(cause, f"drop {option.key}, or have root own the ini")
