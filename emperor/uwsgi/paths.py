"""Finds the paths of an ini that a user of the app cannot use, for `emperorctl check`.

uWSGI starts in the folder of the ini. It opens its log and writes `pidfile` there, changes its
user, enters `chdir`, and only then looks at all other paths (core/uwsgi.c, and measured). There is
no finding about a path that only uWSGI can resolve, or that this process may not look at, nor about
an ini with `chroot`.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

from emperor.model.access import Access, Kind, Way
from emperor.model.spec import Identity, Spec
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.identity import ROOT
from emperor.uwsgi.ini import SOCKETS, STATS, Ini, Option, refers
from emperor.uwsgi.options import SSL_SOCKETS, Adoption, uwsgi_options
from emperor.uwsgi.places import places
from emperor.uwsgi.pythons import named_home
from emperor.uwsgi.spec import MOUNTED_FILES
from emperor.uwsgi.users import Users, name_of

# Stands for a byte that is not UTF-8.
_LOST_BYTE = "\ufffd"
# As PROTOCOLS, these have an address, a certificate and a key.
_TLS = SSL_SOCKETS | {"https", "https2"}


class Files(Protocol):
    """The files of this machine."""

    def access(self, path: str, user: Identity) -> Access:
        """What `user` can do at the absolute `path`."""


class Need(Enum):
    """What uWSGI does at the path. FILL: it writes files into that folder. THERE: it needs anything
    there, NEW: nothing, so that it can make that, and REMOVE: a file that it can delete."""

    ENTER = "enter"
    READ = "read"
    WRITE = "write"
    BIND = "bind"
    SPOOL = "spool"
    FILL = "fill"
    EXECUTE = "execute"
    THERE = "there"
    NEW = "new"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Rule:
    """What uWSGI needs of the paths in the value of an option. `user` chooses who needs it, and
    `after_chdir` tells whether a relative path begins in `chdir`. `fails`: what happens else.
    `or_file`: a file will do in place of a folder."""

    need: Need
    user: Callable[[Users], Identity]
    after_chdir: bool
    paths: Callable[[str], list[str]]
    fails: str = "the app does not start"
    severity: Severity = Severity.ERROR
    or_file: bool = False


def _whole(value: str) -> list[str]:
    return [value]


def _unless_address(value: str) -> list[str]:
    """The path, where the value is no TCP or UDP address and no abstract socket."""
    return [] if ":" in value or value.startswith(("@", "\\0", "=")) else [value]


def _first_of_list(value: str) -> list[str]:
    return _unless_address(value.split(",", 1)[0])


def _certificates(value: str) -> list[str]:
    """Certificate, key and client's authority of `address,certificate,key,ciphers,authority`."""
    parts = value.split(",")
    return [part.removeprefix("!") for part in (*parts[1:3], *parts[4:5]) if part]


def _of_mount(value: str) -> list[str]:
    target = value.partition("=")[2]
    return [target] if target.endswith(MOUNTED_FILES) else []


def _of_map(value: str) -> list[str]:
    target = value.partition("=")[2]
    return [target] if target else []


def _stores(value: str) -> list[str]:
    """The file of `name=a,items=9,store=file`."""
    parts = [part.partition("=") for part in value.split(",")]
    return [path for key, _, path in parts if key == "store"]


def _files_of_area(value: str) -> list[str]:
    """The file of `file=path,size=9`."""
    parts = [part.partition("=") for part in value.split(",")]
    return [path for key, _, path in parts if key == "file"]


def _interface(value: str) -> list[str]:
    return [f"/sys/class/net/{value}"]


def _before_equals(value: str) -> list[str]:
    return [value.partition("=")[0]]


def _start(users: Users) -> Identity:
    return users.start


def _bind(users: Users) -> Identity:
    return users.bind


def _load(users: Users) -> Identity:
    return users.load


def _serve(users: Users) -> Identity:
    return users.serve


_LOG = Rule(Need.WRITE, _start, False, _unless_address)
_LATER_LOG = Rule(Need.WRITE, _bind, False, _unless_address)
_LATER_PIDFILE = Rule(Need.WRITE, _bind, True, _whole)
_APP = Rule(Need.READ, _load, True, _whole)
_HOME = Rule(Need.ENTER, _load, True, _whole)
_SOCKET = Rule(Need.BIND, _bind, True, _first_of_list)
_MASTER_SOCKET = Rule(Need.BIND, _serve, True, _unless_address)
_TLS_FILES = Rule(Need.READ, _start, False, _certificates)
_SPOOLER = Rule(Need.SPOOL, _start, False, _whole)

_STORE = Rule(Need.WRITE, _bind, True, _whole)
_AWAITED = Rule(Need.THERE, _bind, False, _whole, "uWSGI waits for it and serves nothing")

_INTERFACES = frozenset({
    "wait-for-interface", "wait-for-iface", "wait-interface", "wait-iface",
})  # fmt: skip

_STATIC = Rule(
    Need.ENTER, _serve, True, _of_map, "its files are not found", Severity.WARNING, or_file=True
)
_DOCUMENTS = Rule(Need.ENTER, _serve, True, _whole, "its files are not found", Severity.WARNING)

# Of these the last value counts; of equal keys in a group, the last of all.
_SCALARS: dict[tuple[str, ...], Rule] = {
    ("logto", "daemonize"): _LOG,
    ("logto2",): _LATER_LOG,
    ("daemonize2",): Rule(Need.WRITE, _serve, True, _unless_address),
    ("pidfile",): Rule(Need.WRITE, _start, False, _whole),
    ("safe-pidfile",): Rule(Need.WRITE, _serve, True, _whole),
    ("pidfile2",): _LATER_PIDFILE,
    ("safe-pidfile2",): _LATER_PIDFILE,
    ("chdir",): Rule(Need.ENTER, _bind, False, _whole),
    ("chdir2",): Rule(Need.ENTER, _serve, True, _whole),
    ("file", "wsgi-file"): _APP,
    tuple(STATS): _MASTER_SOCKET,
    **{(key,): _MASTER_SOCKET for key in ("zerg-server", "notify-socket", "setns-socket")},
    ("metrics-dir",): Rule(Need.FILL, _load, True, _whole),
    ("cache-store",): _STORE,
    ("queue-store",): _STORE,
}
_LISTS: dict[frozenset[str], Rule] = {
    SOCKETS: _SOCKET,
    _TLS: _TLS_FILES,
    frozenset({"spooler", "spooler-external"}): _SPOOLER,
    frozenset({"master-fifo"}): _MASTER_SOCKET,
    frozenset({"static-map", "static-map2"}): _STATIC,
    frozenset({"check-static", "static-check"}): _DOCUMENTS,
    frozenset({"cache2"}): Rule(Need.WRITE, _bind, True, _stores),
    frozenset({"file-write"}): Rule(Need.WRITE, _start, False, _before_equals),
    frozenset({"flock", "flock-wait"}): Rule(Need.READ, _start, False, _whole),
    frozenset({"envdir"}): Rule(Need.ENTER, _start, False, _whole),
    frozenset({"sharedarea"}): Rule(Need.READ, _bind, True, _files_of_area),
    _INTERFACES: replace(_AWAITED, paths=_interface),
    frozenset({"wait-for-socket"}): replace(_AWAITED, paths=_unless_address),
    frozenset({"wait-for-fs", "wait-for-file", "wait-for-dir", "wait-for-mountpoint"}): _AWAITED,
    frozenset({"mount", "worker-mount"}): Rule(Need.READ, _load, True, _of_mount),
}
# The same by key: an ini has few of them, and is read often.
_SCALARS_WITH = {key: keys for keys in _SCALARS for key in keys}
_LISTED: dict[str, tuple[Rule, ...]] = {
    key: tuple(rule for keys, rule in _LISTS.items() if key in keys)
    for key in frozenset().union(*_LISTS)
}
_UNUSED_BY_NAME = frozenset({"pidfile", "pidfile2", "safe-pidfile", "safe-pidfile2"})


def unusable_paths(
    ini: Ini, spec: Spec, folder: str, users: Users, files: Files
) -> Iterator[Finding]:
    """A finding for each path that cannot be used. `folder` is the ini's own."""
    last = ini.last
    if "chroot" in last:
        yield from _unusable_chroot(last["chroot"], users, files)
        return
    start = places(last, folder).folder
    if start is not None and "chdir" in last and problem_at(Need.ENTER, start, users.bind, files):
        start = None
    for option, rule in ruled(ini, spec):
        user = rule.user(users)
        for value in rule.paths(option.value):
            path = resolved_path(value, start if rule.after_chdir else folder)
            if path is None or path == spec.socket:
                continue
            need = rule.need
            if rule.or_file and files.access(path, user).kind is Kind.FILE:
                need = Need.READ
            if problem := problem_at(need, path, user, files):
                text, cure = problem
                if text.startswith("there is no") and not value.startswith("/"):
                    base = start if rule.after_chdir else folder
                    cure = "put it there, or write the path from / on: a relative one begins in"
                    cure += f" {base}"
                if rule is _SOCKET:
                    cure = f"drop {option.key}, as nginx talks to emperord's own socket"
                if option.key in ("file", "wsgi-file"):
                    cure = _without_callable(option, path, user, files) or cure
                yield Finding(option.line, rule.severity, f"{text}, so {rule.fails}", cure)


def _unusable_chroot(option: Option, users: Users, files: Files) -> Iterator[Finding]:
    path = resolved_path(option.value, None)
    if path and (problem := problem_at(Need.ENTER, path, users.start, files)):
        text, cure = problem
        yield Finding(option.line, Severity.ERROR, f"{text}, so the app does not start", cure)


def ruled(ini: Ini, spec: Spec) -> Iterator[tuple[Option, Rule]]:
    """The options that count and have a rule about the paths in their values."""
    is_by_name = uwsgi_options(spec).adoption is Adoption.BY_NAME
    for keys in dict.fromkeys(_SCALARS_WITH[key] for key in ini.last if key in _SCALARS_WITH):
        found = ini.last_of(keys)
        # uWSGI takes an adoption by name for a reload, and writes no pidfile then.
        if found and not (is_by_name and found.key in _UNUSED_BY_NAME):
            yield found, _SCALARS[keys]
    if home := named_home(ini):
        yield home, _HOME
    for option in ini.options:
        for rule in _LISTED.get(option.key, ()):
            yield option, rule


def resolved_path(value: str, folder: str | None) -> str | None:
    """The path that a value names, seen from `folder`; None where only uWSGI knows."""
    if not value or refers(value) or _LOST_BYTE in value:
        return None
    if folder is None and not value.startswith("/"):
        return None
    return os.path.join(folder or "/", value)


# The text of a problem, and its cure.
_Problem = tuple[str, str]


def problem_at(need: Need, path: str, user: Identity, files: Files) -> _Problem | None:
    """Why `user` cannot do at `path` what is needed, with the cure; None where that is possible."""
    found = files.access(path, user)
    if found.way in (Way.UNSEEN, Way.CLOSED):
        return _closed(found.at, user) if found.way is Way.CLOSED else None
    if problem_of := _PROBLEMS.get(need):
        problem = problem_of(found, path, user)
        if problem or need not in (Need.NEW, Need.REMOVE):
            return problem
    if need is Need.SPOOL and found.kind is Kind.FOLDER:
        may = found.can_read and found.can_write and found.can_enter
        return None if may else _denied(user, "use the folder", path)
    if found.way is Way.REACHED and found.kind is not Kind.FOLDER and need is Need.WRITE:
        return None if found.can_write else _denied(user, "write to", path)
    return _cannot_make(found, path, user, files)


def _cannot_enter(found: Access, path: str, user: Identity) -> _Problem | None:
    if found.kind is not Kind.FOLDER:
        return f"there is no folder {path}", "make it, or name another"
    return None if found.can_enter else _closed(path, user)


def _cannot_read(found: Access, path: str, user: Identity) -> _Problem | None:
    if found.way is Way.MISSING:
        return f"there is no {path}", "put the file there, or name another"
    if found.kind is Kind.FOLDER:
        return f"{path} is a folder", "name a file"
    return None if found.can_read else _denied(user, "read", path)


def _cannot_fill(found: Access, path: str, user: Identity) -> _Problem | None:
    if problem := _cannot_enter(found, path, user):
        return problem
    return None if found.can_write else _denied(user, "make files in", path)


def _cannot_execute(found: Access, path: str, user: Identity) -> _Problem | None:
    if found.way is Way.MISSING:
        return f"there is no program {path}", "put it there, or correct the command"
    return None if found.can_execute else _denied(user, "run", path)


def _is_missing(found: Access, path: str, _: Identity) -> _Problem | None:
    return (f"there is no {path}", "make it, or drop that") if found.way is Way.MISSING else None


def _is_there(found: Access, path: str, _: Identity) -> _Problem | None:
    return (f"{path} is there already", "remove it, or drop that") if found.kind else None


_PROBLEMS: Mapping[Need, Callable[[Access, str, Identity], _Problem | None]] = {
    Need.ENTER: _cannot_enter,
    Need.READ: _cannot_read,
    Need.FILL: _cannot_fill,
    Need.EXECUTE: _cannot_execute,
    Need.THERE: _is_missing,
    Need.NEW: _is_there,
    Need.REMOVE: _is_missing,
}


def _cannot_make(there: Access, path: str, user: Identity, files: Files) -> _Problem | None:
    """Why `user` cannot make a file or a socket at `path`, in place of what is there."""
    if there.kind is Kind.FOLDER:
        return f"{path} is a folder", "name a file"
    parent = os.path.dirname(path.rstrip("/")) or "/"
    found = files.access(parent, user)
    if found.way is Way.UNSEEN:
        return None
    if problem := problem_at(Need.ENTER, parent, user, files):
        return problem
    if not found.can_write:
        return _denied(user, "make files in", parent)
    may_replace = not found.is_sticky or user.uid in (ROOT, there.owner, found.owner)
    return None if there.kind is None or may_replace else _denied(user, "replace", path)


def _closed(folder: str, user: Identity) -> _Problem:
    name = name_of(user)
    cure = f"let {name} in (setfacl -m u:{user.uid}:x), or have the app run as the folder's owner"
    return f"{name} may not enter {folder}", cure


def _denied(user: Identity, verb: str, path: str) -> _Problem:
    return f"{name_of(user)} may not {verb} {path}", "change its owner or mode, or name another"


def _without_callable(option: Option, path: str, user: Identity, files: Files) -> str | None:
    file, colon, name = path.rpartition(":")
    if colon and files.access(file, user).way is Way.REACHED:
        return f"write {option.key} = {option.value.rpartition(':')[0]}, and callable = {name}"
    return None
