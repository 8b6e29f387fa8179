"""Which user uWSGI is at each moment of a start, and users and groups that do not exist or count.

uWSGI starts as the user whom emperord chooses. If that is root, `uid` and `gid` of [uwsgi] change
it before uWSGI enters `chdir`, unless an option delays that (uwsgi_as_root of core/utils.c).
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from emperor.model.spec import Identity, Spec, numeric_id
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.identity import ROOT, Accounts
from emperor.uwsgi.ini import Ini, Option, with_declared

_DELAYED = frozenset({"master-as-root", "drop-after-apps", "drop-privileges-after-apps"})
DELAYED_UNTIL_BOUND = _DELAYED | {"chown-socket", "drop-after-init"}
# uWSGI ends if one of these fails.
_FATAL_HOOKS = frozenset({
    "hook-asap", "hook-pre-jail", "hook-in-jail", "hook-as-root", "hook-as-user", "hook-post-fork",
    "hook-accepting", "hook-accepting1", "hook-accepting-once", "hook-accepting1-once",
})  # fmt: skip
_CHOWN = re.compile(r"!?chown:\S+ (?P<user>\S+) (?P<group>\S+)")
_CHANGES = frozenset({"uid", "gid", "add-gid", "immediate-uid", "immediate-gid"})


@dataclass(frozen=True, slots=True)
class Users:
    """The user who opens the log and `pidfile`; who enters `chdir` and binds sockets; who loads the
    app; and who serves requests."""

    start: Identity
    bind: Identity
    load: Identity
    serve: Identity


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a start of uWSGI: who it is then, and whether it has entered `chdir`, in which
    relative paths begin from then on."""

    user: Callable[[Users], Identity]
    after_chdir: bool


START = Phase(lambda users: users.start, False)
BIND_BEFORE_CHDIR = Phase(lambda users: users.bind, False)
BIND = Phase(lambda users: users.bind, True)
LOAD_BEFORE_CHDIR = Phase(lambda users: users.load, False)
LOAD = Phase(lambda users: users.load, True)
SERVE = Phase(lambda users: users.serve, True)


def name_of(user: Identity) -> str:
    """The name of a user, or the number of one without a name."""
    return user.user or f"uid {user.uid}"


def users_of(ini: Ini, start: Identity, accounts: Accounts) -> Users:
    """The users of a start. Where a user or group does not exist, as if it was not named."""
    last = ini.last
    later = _dropped(last, start, accounts)
    return Users(
        start,
        start if DELAYED_UNTIL_BOUND & last.keys() else later,
        start if _DELAYED & last.keys() else later,
        later,
    )


def drops_to_of(ini: Ini, start: Identity, accounts: Accounts) -> str:
    """To which users and groups uWSGI changes by itself, which only root can. Empty where these are
    root's own."""
    is_declared = "declare-option" in ini.last
    if start.uid != ROOT or not (is_declared or ini.last_of(_CHANGES)):
        return ""
    options = list(with_declared(ini)) if is_declared else ini.options
    named = [option for option in options if option.key in _CHANGES]
    if all(_is_roots(option, accounts) for option in named):
        return ""
    return ", ".join(f"{option.key} = {option.value}" for option in named)


def _is_roots(option: Option, accounts: Accounts) -> bool:
    """Whether it names the user or the group root."""
    if option.key.endswith("gid"):
        return accounts.group(option.value) == ROOT
    user = accounts.user(option.value)
    return user is not None and user.uid == ROOT


def _dropped(last: Mapping[str, Option], start: Identity, accounts: Accounts) -> Identity:
    if start.uid != ROOT:
        return start
    uid = last.get("immediate-uid") or last.get("uid")
    gid = last.get("immediate-gid") or last.get("gid")
    user = None if uid is None else accounts.user(uid.value)
    if user is None and uid is not None and (number := numeric_id(uid.value)) is not None:
        user = Identity(number, start.gid, None)
    group = None if gid is None else accounts.group(gid.value)
    if group is None:
        # uWSGI changes no group then, and keeps those of root.
        return start if user is None else Identity(user.uid, start.gid, None)
    return replace(user or start, gid=group)


def unknown_users(ini: Ini, start: Identity, accounts: Accounts) -> Iterator[Finding]:
    """An error for each user or group that uWSGI cannot change to."""
    last = ini.last
    for key, kind in (("uid", "user"), ("gid", "group")):
        if (option := last.get(key)) is None:
            continue
        value = option.value
        exists = accounts.user(value) if key == "uid" else accounts.group(value) is not None
        if start.uid == ROOT and numeric_id(value) == ROOT:
            # uWSGI takes 0 for no number (uwsgi_as_root of core/utils.c).
            text = f"uWSGI looks for a {kind} with the name {value}, so the app does not start"
            yield Finding(option.line, Severity.ERROR, text, f"write {key} = root, or drop it")
        elif start.uid == ROOT and not exists and not value.isdecimal():
            text = f"there is no {kind} {value!r}, so the app does not start"
            if value.startswith("$("):
                text = f"{value} of {key} has no value, so the app does not start"
            yield Finding(option.line, Severity.ERROR, text, f"create it, or correct {key}")
        elif start.uid != ROOT and _is_other(key, value, start):
            text = f"only root can change to {key} {value}, so the app does not start"
            yield Finding(option.line, Severity.ERROR, text, f"drop {key}")
    if "chroot" in last and start.uid != ROOT:
        text = f"{name_of(start)} may not chroot, so the app does not start"
        yield Finding(last["chroot"].line, Severity.ERROR, text, "drop chroot")
    for option in ini.options:
        if option.key == "add-gid" and start.uid == ROOT and accounts.group(option.value) is None:
            text = f"there is no group {option.value!r}, so the app does not start"
            yield Finding(option.line, Severity.ERROR, text, "create it, or correct add-gid")
        elif option.key in _FATAL_HOOKS and (match := _CHOWN.fullmatch(option.value)):
            yield from _unknown_owner(option, match["user"], match["group"], accounts)


def _unknown_owner(option: Option, user: str, group: str, accounts: Accounts) -> Iterator[Finding]:
    """An error for a user or group of a hook that is not there. The hook takes no numbers."""
    found = (("user", user, accounts.user(user)), ("group", group, accounts.group(group)))
    for kind, name, account in found:
        if name.isdecimal():
            text = f"uWSGI looks for a {kind} with the name {name}, so the app does not start"
            yield Finding(option.line, Severity.ERROR, text, "write the name, or use chown2:")
        elif account is None:
            text = f"there is no {kind} {name!r}, so the app does not start"
            cure = f"create it, or correct {option.key}"
            yield Finding(option.line, Severity.ERROR, text, cure)


def _is_other(key: str, value: str, start: Identity) -> bool:
    """uWSGI refuses a number of another user; it ignores a name unless it is root."""
    own = start.uid if key == "uid" else start.gid
    return value.isdecimal() and numeric_id(value) not in (0, own)


def ignored_users(ini: Ini, start: Identity, accounts: Accounts) -> Iterator[Finding]:
    """A warning for each user or group of [uwsgi] that uWSGI ignores, since it is not root, and for
    a user without a group, who keeps that of root."""
    last = ini.last
    if start.uid != ROOT:
        yield from _not_root(ini, last, start, accounts)
    elif (uid := last.get("uid")) and "gid" not in last and start.gid == ROOT:
        user = accounts.user(uid.value)
        if user is None or user.uid != ROOT:
            text = f"uid = {uid.value} without gid leaves the app in the group root"
            cure = "set gid too, or move uid to [emperor], which takes the groups of the user"
            yield Finding(uid.line, Severity.WARNING, text, cure)


def unusable_owner(
    ini: Ini, spec: Spec, users: Users, accounts: Accounts, groups: Collection[int]
) -> Iterator[Finding]:
    """An error for a chown-socket that fails (uwsgi_chown of core/utils.c). uWSGI applies it to
    each unix socket that it makes itself. `groups` are those of the user who binds."""
    option = ini.last.get("chown-socket")
    made = [address for address in spec.foreign_sockets if address.startswith(("/", "@"))]
    if option is None or not made:
        return
    owner, colon, group = option.value.partition(":")
    user = accounts.user(owner)
    uid = user.uid if user else numeric_id(owner)
    gid = accounts.group(group) if colon else None
    cure = "drop that socket, as nginx talks to emperord's own, or drop chown-socket"
    may = users.bind.uid in (ROOT, uid) and (users.bind.uid == ROOT or not colon or gid in groups)
    if uid is None or (colon and gid is None):
        kind, name = ("user", owner) if uid is None else ("group", group)
        text, cure = f"there is no {kind} {name!r}", "create it, or correct chown-socket"
    elif made[0].startswith("@"):
        text = f"chown-socket fails on {made[0]}, which is no file"
    elif not may:
        text = f"{name_of(users.bind)} may not chown {made[0]} to {option.value}"
    else:
        return
    yield Finding(option.line, Severity.ERROR, f"{text}, so the app does not start", cure)


def _not_root(
    ini: Ini, last: Mapping[str, Option], start: Identity, accounts: Accounts
) -> Iterator[Finding]:
    name = name_of(start)
    if ini.attribute("uid") or ini.attribute("gid"):
        reason, cure = f"[emperor] has the app run as {name}", "change uid and gid in [emperor]"
    else:
        reason = f"the ini belongs to {name}, so the app runs as {name}"
        cure = "have root own the ini"
    for key in ("uid", "gid", "add-gid"):
        option = last.get(key)
        if option is None or (key != "add-gid" and _is_other(key, option.value, start)):
            continue
        if key == "uid":
            user = accounts.user(option.value)
            is_same = user is not None and user.uid == start.uid
        else:
            is_same = accounts.group(option.value) == start.gid
        if not is_same:
            text = f"{reason}, and {key} = {option.value} is ignored"
            if key == "add-gid":
                cure = f"make {name} a member of it (gpasswd -a {name} {option.value})"
            yield Finding(option.line, Severity.WARNING, text, f"{cure}, or drop {key}")
