"""Decides whom a vassal runs as: the owner of its ini has the word, and root may name anybody.

A tenant whose ini could name another user could become root; one who could name a host could take
a neighbour's visitors.
"""

from dataclasses import replace
from typing import Protocol

from emperor.model.definition import BrokenIni, FileOwner
from emperor.model.spec import Identity
from emperor.uwsgi.ini import Ini, Option

ROOT = 0


class Accounts(Protocol):
    """The users and groups of this machine. Names may also be numbers."""

    @property
    def daemon(self) -> Identity:
        """Whom the daemon runs as."""

    def user(self, name: str) -> Identity | None:
        """The user with its primary group; None when passwd has no such user."""

    def group(self, name: str) -> int | None:
        """The gid of that group, a number as it is; None when there is no such name."""


def identity_of(ini: Ini, owner: FileOwner, accounts: Accounts) -> Identity | None:
    """Whom the vassal runs as, None for whom the daemon runs as. Raises BrokenIni.

    An ini that root owns may name anybody. Everybody else's is run as its owner, with the owner's
    primary group: the file's group may be nginx's, whose members reach every neighbour's socket.
    """
    daemon = accounts.daemon
    if daemon.uid != ROOT:
        _insist(daemon, "emperord is not root", ini, accounts)
        return None
    if owner.uid != ROOT:
        mine = accounts.user(str(owner.uid))
        if mine is None:
            # The group of the file is not for the app: it may be nginx's.
            raise BrokenIni(
                f"its owner has uid {owner.uid}, which is no user's",
                "chown it to the user that the app should run as",
            )
        _insist(mine, "the ini is not root's", ini, accounts)
        return mine
    return _named(ini, accounts)


def has_the_last_word(owner: FileOwner, accounts: Accounts) -> bool:
    """Whether an ini of that owner is the administrator's, who may claim any host name, say."""
    return owner.uid in (ROOT, accounts.daemon.uid)


def _named(ini: Ini, accounts: Accounts) -> Identity | None:
    uid, gid = ini.attribute("uid"), ini.attribute("gid")
    group = None if gid is None else accounts.group(gid.value)
    if gid is not None and group is None:
        raise gid.broken(f"there is no group {gid.value!r}", "create it, or correct gid")
    user = accounts.daemon if uid is None else accounts.user(uid.value)
    if uid is not None and user is None:
        user = _nameless(uid, group)
    if user is None or (uid is None and gid is None):
        return None
    return user if group is None else replace(user, gid=group)


def _nameless(uid: Option, group: int | None) -> Identity:
    if not (uid.value.isascii() and uid.value.isdecimal()):
        raise uid.broken(f"there is no user {uid.value!r}", "create it, or correct uid")
    if group is None:
        raise uid.broken(f"no user has uid {uid.value}", "name a gid as well")
    return Identity(int(uid.value), group, None)


def _insist(mine: Identity, why: str, ini: Ini, accounts: Accounts) -> None:
    """Refuse an ini that names anybody but `mine`."""
    for option in ini.emperor:
        if option.key == "uid":
            user = accounts.user(option.value)
            same = (user.uid if user else option.value) in (mine.uid, str(mine.uid))
        elif option.key == "gid":
            same = accounts.group(option.value) == mine.gid
        else:
            continue
        if not same:
            who = mine.user or f"uid {mine.uid}"
            cause = f"cannot run with {option.key} = {option.value}, since {why}: it runs as {who}"
            raise option.broken(cause, f"drop {option.key}, or have root own the ini")
