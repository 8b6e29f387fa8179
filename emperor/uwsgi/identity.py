"""Decides which user a vassal runs as. An ini of root's may name any user. The ini of anybody else
runs as the owner of the file, for else a tenant could become root by naming it.

uWSGI's own `uid` and `gid` in an ini of root's count as well. So they are set before uWSGI reads
the ini, and uWSGI opens no log and no pidfile as root.
"""

from dataclasses import replace
from typing import Protocol

from emperor.model.definition import BrokenIni, FileOwner
from emperor.model.setting_values import boolean
from emperor.model.settings import Settings
from emperor.model.spec import Identity, numeric_id
from emperor.uwsgi.ini import Ini, Option, refers, with_declared

ROOT = 0
# Reads inis of root's that name their user in another file.
_NOBODY = "nobody"
_OVERFLOW_ID = 65534
_UIDS, _GIDS = frozenset({"uid", "immediate-uid"}), frozenset({"gid", "immediate-gid"})


class Accounts(Protocol):
    """The users and groups of this machine. Each name may also be a number."""

    @property
    def daemon(self) -> Identity:
        """The user that the daemon runs as."""

    def user(self, name: str) -> Identity | None:
        """The user with its primary group, or None if passwd has no such user."""

    def group(self, name: str) -> int | None:
        """The gid of a group, or None if there is no such name. A number needs no entry."""

    def is_member(self, user: Identity, gid: int) -> bool:
        """Whether the user gets that group at a login, or has it as its own."""


def identity_of(
    ini: Ini, owner: FileOwner, accounts: Accounts, settings: Settings
) -> Identity | None:
    """The user that the vassal starts as, or None for the user of the daemon. Raises BrokenIni.

    An ini that root owns may name any user, but root itself only where `allow-root` permits that.
    Every other ini runs as its owner, with the owner's primary group. The group of the file would
    not do: it may be nginx's, whose members can connect to every socket. A daemon that is not root
    runs everything as itself.
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
        if option := ini.attribute("allow-root"):
            raise option.broken("allow-root may stand in an ini of root's alone", "drop it")
        _refuse_unfit(user, None, accounts, settings)
        return user
    named = _named_user(ini, accounts)
    if named is None or named[0].uid == ROOT:
        _refuse_root(ini, named and named[1], settings)
        return named and named[0]
    _refuse_unfit(*named, accounts, settings)
    return named[0]


def reading_as(
    ini: Ini, owner: FileOwner, accounts: Accounts, settings: Settings
) -> Identity | None:
    """Who reads an ini that only uWSGI can resolve: the user that the ini names so far, else one
    that owns nothing. None: the user of the daemon. Raises BrokenIni."""
    is_roots = accounts.daemon.uid == owner.uid == ROOT
    if is_roots and not names_user(ini, accounts) and not allows_root(ini, settings):
        return accounts.user(_NOBODY) or Identity(_OVERFLOW_ID, _OVERFLOW_ID, None)
    return identity_of(ini, owner, accounts, settings)


def names_user(ini: Ini, accounts: Accounts) -> bool:
    """Whether an ini of root's names its user or group, without what it includes. Raises
    BrokenIni."""
    return _named_user(ini, accounts) is not None


def allows_root(ini: Ini, settings: Settings) -> bool:
    """Whether an app by this ini of root's may run as root. Raises BrokenIni."""
    option = ini.attribute("allow-root")
    if option is None:
        return settings.allow_root
    try:
        return boolean(option.value)
    except ValueError as error:
        raise option.broken(f"cannot use allow-root = {option.value!r}: {error}", "") from error


def is_administrator(owner: FileOwner, accounts: Accounts) -> bool:
    """Whether inis of that owner may take what could harm other vassals, any host name for
    example."""
    return owner.uid in (ROOT, accounts.daemon.uid)


def refuse_dropped(user: Identity, ini: Ini, accounts: Accounts, settings: Settings) -> None:
    """Raise BrokenIni where uWSGI starts as root and changes to a user or group that no app may
    have."""
    options = _all_options(ini)
    option = next((each for each in reversed(options) if each.key in _UIDS | _GIDS), None)
    if user.uid != ROOT:
        _refuse_unfit(user, option, accounts, settings)
    nginxs = accounts.group(settings.socket_group)
    for each in options:
        if each.key == "add-gid" and accounts.group(each.value) in (ROOT, nginxs):
            raise each.broken(f"an app must not be in the group {each.value}", "drop add-gid")


def _all_options(ini: Ini) -> tuple[Option, ...]:
    return tuple(with_declared(ini)) if "declare-option" in ini.last else ini.options


def _named_user(ini: Ini, accounts: Accounts) -> tuple[Identity, Option] | None:
    """The user that an ini of root's names, and where; None where it names neither user nor
    group."""
    uid, gid = ini.attribute("uid"), ini.attribute("gid")
    if uid is None and ("declare-option" in ini.last or ini.last_of(_UIDS | _GIDS)):
        options = [each for each in _all_options(ini) if not refers(each.value)]
        uid = next((each for each in reversed(options) if each.key in _UIDS), None)
        if gid is None:
            gid = next((each for each in reversed(options) if each.key in _GIDS), None)
    named = uid or gid
    if named is None:
        return None
    group = None if gid is None else accounts.group(gid.value)
    if gid is not None and group is None:
        raise gid.broken(f"there is no group {gid.value!r}", "create it, or correct gid")
    user = accounts.daemon if uid is None else accounts.user(uid.value)
    if user is None:
        user = _user_without_name(named, group)
    return (user if group is None else replace(user, gid=group)), named


def _user_without_name(uid: Option, group: int | None) -> Identity:
    if (number := numeric_id(uid.value)) is None:
        raise uid.broken(f"there is no user {uid.value!r}", "create it, or correct uid")
    if group is None:
        raise uid.broken(f"no user has uid {uid.value}", "name a gid as well")
    return Identity(number, group, None)


def _refuse_root(ini: Ini, named: Option | None, settings: Settings) -> None:
    if allows_root(ini, settings):
        return
    how = "set uid in a section [emperor] to the user of the app"
    permit = "allow-root = true there lets the app run as root"
    if named is None:
        cause = "it belongs to root and names no user, so its app would run as root"
        raise BrokenIni(cause, f"{how}, or chown the ini to that user; {permit}")
    cause = f"with {named.key} = {named.value} its app would run as root"
    raise named.broken(cause, f"{how}; {permit}")


def _refuse_unfit(
    user: Identity, named: Option | None, accounts: Accounts, settings: Settings
) -> None:
    """Raise BrokenIni for a user that no app may run as. `named` names it, None for the owner of
    the ini."""
    if problem := unfit(user, accounts, settings):
        cause, cure = problem
        raise BrokenIni(cause, cure, named.line if named else 0)


def unfit(user: Identity, accounts: Accounts, settings: Settings) -> tuple[str, str] | None:
    """Why no app may run as that user, which is not root, with the cure. None: it may."""
    name = f"{user.user} (uid {user.uid})" if user.user else f"uid {user.uid}"
    own = "give the app a user of its own (adduser NAME)"
    group = settings.socket_group
    nginxs, owner = accounts.group(group), accounts.user(settings.socket_owner)
    if user.gid == ROOT:
        return f"its app would run as {name} with the group root", "set gid to another group"
    logged_in = accounts.user(str(user.uid)) or user
    if nginxs is not None and any(accounts.is_member(each, nginxs) for each in (user, logged_in)):
        cause = f"its app would run as {name} with nginx's group {group}, which may connect to"
        is_own = logged_in.gid == nginxs
        leave = f"take {user.user or name} out of {group} (gpasswd -d), or drop gid = {group}"
        return f"{cause} all other apps", own if is_own else f"{leave}, or {own}"
    if owner is not None and owner.uid == user.uid:
        return f"its app would run as {name}, the owner of all sockets (socket-owner)", own
    if user.uid < settings.min_uid:
        cause = f"its app would run as {name}, and min-uid = {settings.min_uid} keeps the accounts"
        return f"{cause} of the system from apps", f"{own}, or lower min-uid in emperord.ini"
    return None


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
