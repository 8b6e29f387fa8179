"""Finds the paths of an ini that a user of the app cannot use, for `emperorctl check`.

uWSGI starts in the folder of the ini. It opens its log and writes `pidfile` there, changes its
user, enters `chdir`, and only then looks at all other paths (core/uwsgi.c, and measured). There is
no finding about a path that only uWSGI can resolve, or that this process may not look at, nor about
an ini with `chroot`.
"""

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from emperor.model.access import FileKind, Reach
from emperor.model.spec import Identity, Spec
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.ini import HOMES, SOCKETS, STATS, URLS, Ini, Option, refers
from emperor.uwsgi.needs import Files, Need, problem_at
from emperor.uwsgi.options import SSL_SOCKETS, Adoption, uwsgi_options
from emperor.uwsgi.places import places
from emperor.uwsgi.pythons import named_home
from emperor.uwsgi.spec import MOUNTED_FILES
from emperor.uwsgi.users import BIND, BIND_BEFORE_CHDIR, LOAD, SERVE, START, Phase, Users
from emperor.uwsgi.values import unset_variable, without_value

# Stands for a byte that is not UTF-8.
_LOST_BYTE = "\ufffd"
# As PROTOCOLS, these have an address, a certificate and a key.
_TLS = SSL_SOCKETS | {"https", "https2"}


@dataclass(frozen=True, slots=True)
class Rule:
    """What uWSGI needs of the paths in the value of an option, and when. `fails`: what happens
    else. `or_file`: a file will do in place of a folder."""

    need: Need
    phase: Phase
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
    """Certificate, key and client's authority of `address,certificate,key,ciphers,authority`, or of
    `addr=address,cert=certificate,key=key`."""
    parts = value.split(",")
    if value.startswith(("addr=", "cert=", "key=")):
        return [part.partition("=")[2] for part in parts if part.startswith(("cert=", "key="))]
    return [part.removeprefix("!") for part in (*parts[1:3], *parts[4:5]) if part]


def _of_logger(value: str) -> list[str]:
    """The file of `file:path`, `NAME file:path` or `file:logfile=path,maxsize=9`."""
    _, is_file, rest = value.partition("file:")
    parts = [part.partition("=") for part in rest.split(",")]
    named = [path for key, _, path in parts if key == "logfile"]
    return (named or [rest]) if is_file else []


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


def _behind_cache(value: str) -> list[str]:
    """The file of `NAME FILE` or `FILE`."""
    return [value.rpartition(" ")[2]]


def _program(value: str) -> list[str]:
    """The program of a command, where no folders are searched for it."""
    program = value.split(" ", 1)[0]
    return [program] if "/" in program else []


def _libraries(value: str) -> list[str]:
    """The plugins of a list that are paths (uwsgi_load_plugin of core/plugins.c)."""
    end = "_plugin.so"
    paths = [part.strip() for part in value.split(",") if part.strip().startswith("/")]
    return [path if path.endswith(end) else f"{path}{end}" for path in paths]


def _interface(value: str) -> list[str]:
    return [f"/sys/class/net/{value}"]


def _of_pool(value: str) -> list[str]:
    """The path of `path:address,address`."""
    path, colon, _ = value.partition(":")
    return [path] if colon else []


def _before_equals(value: str) -> list[str]:
    return [value.partition("=")[0]]


_LOG = Rule(Need.WRITE, START, _unless_address)
_LATER_LOG = Rule(Need.WRITE, BIND_BEFORE_CHDIR, _unless_address)
_LATER_PIDFILE = Rule(Need.WRITE, BIND, _whole)
_APP = Rule(Need.READ, LOAD, _whole)
_HOME = Rule(Need.ENTER, LOAD, _whole)
_SOCKET = Rule(Need.BIND, BIND, _first_of_list)
_MASTER_SOCKET = Rule(Need.BIND, SERVE, _unless_address)
# uWSGI removes what has the name of these.
_REPLACES = (_SOCKET, _MASTER_SOCKET)
_TLS_FILES = Rule(Need.READ, START, _certificates)
_SPOOLER = Rule(Need.SPOOL, START, _whole)

_STORE = Rule(Need.WRITE, BIND, _whole)
_AWAITED = Rule(Need.THERE, BIND_BEFORE_CHDIR, _whole, "uWSGI waits for it and serves nothing")
_SENT = Rule(Need.READ, SERVE, _whole, severity=Severity.WARNING)
_LIBRARY = Rule(Need.READ, START, _program, "uWSGI goes on without it", Severity.WARNING)

_INTERFACES = frozenset({
    "wait-for-interface", "wait-for-iface", "wait-interface", "wait-iface",
})  # fmt: skip

_LOGGERS = frozenset({"logger", "log-req", "req-logger", "log", "worker-logger", "worker-log-req"})
OTHER_PROGRAMS = frozenset(
    f"{who}-binary-patch{arg}" for who in ("privileged", "unprivileged") for arg in ("", "-arg")
)
_STATIC = Rule(
    Need.ENTER, SERVE, _of_map, "its files are not found", Severity.WARNING, or_file=True
)
_DOCUMENTS = Rule(Need.ENTER, SERVE, _whole, "its files are not found", Severity.WARNING)

# Of these the last value counts; of equal keys in a group, the last of all.
_SCALARS: dict[tuple[str, ...], Rule] = {
    ("logto", "daemonize"): _LOG,
    ("logto2",): _LATER_LOG,
    ("daemonize2",): Rule(Need.WRITE, SERVE, _unless_address),
    ("pidfile",): Rule(Need.WRITE, START, _whole),
    ("safe-pidfile",): Rule(Need.WRITE, SERVE, _whole),
    ("pidfile2",): _LATER_PIDFILE,
    ("safe-pidfile2",): _LATER_PIDFILE,
    ("chdir",): Rule(Need.ENTER, BIND_BEFORE_CHDIR, _whole),
    ("chdir2",): Rule(Need.ENTER, SERVE, _whole),
    ("file", "wsgi-file"): _APP,
    tuple(STATS): _MASTER_SOCKET,
    **{(key,): _MASTER_SOCKET for key in ("zerg-server", "notify-socket", "setns-socket")},
    ("spooler-chdir",): Rule(
        Need.ENTER, SERVE, _whole, "its tasks run in another folder", Severity.WARNING
    ),
    ("metrics-dir",): Rule(Need.FILL, LOAD, _whole),
    ("cache-store",): _STORE,
    ("queue-store",): _STORE,
}
_LISTS: dict[frozenset[str], Rule] = {
    SOCKETS: _SOCKET,
    _TLS: _TLS_FILES,
    frozenset({"spooler", "spooler-external"}): _SPOOLER,
    frozenset({"master-fifo"}): _MASTER_SOCKET,
    frozenset({"zergpool", "zerg-pool"}): replace(_SOCKET, paths=_of_pool),
    frozenset({"static-map", "static-map2"}): _STATIC,
    frozenset({"check-static", "static-check"}): _DOCUMENTS,
    frozenset({"cache2"}): Rule(Need.WRITE, BIND, _stores),
    frozenset({"file-write"}): Rule(Need.WRITE, START, _before_equals),
    frozenset({"flock", "flock-wait", "flock2", "flock-wait2"}): Rule(Need.LOCK, START, _whole),
    frozenset({"load-file-in-cache", "load-file-in-cache-gzip"}): Rule(
        Need.READ, BIND, _behind_cache
    ),
    frozenset({"check-mountpoint", "mountpoint-check", "check-mount", "mount-check"}): replace(
        _AWAITED, fails="uWSGI ends as soon as it looks for it"
    ),
    OTHER_PROGRAMS: Rule(Need.EXECUTE, BIND_BEFORE_CHDIR, _program),
    frozenset({"error-page-403", "error-page-404", "error-page-500"}): replace(
        _SENT, fails="uWSGI sends its own page"
    ),
    _LOGGERS: Rule(Need.WRITE, SERVE, _of_logger, "its lines are lost", Severity.WARNING),
    frozenset({"plugin", "plugins"}): replace(_LIBRARY, paths=_libraries),
    frozenset({"need-plugin", "need-plugins"}): Rule(Need.READ, START, _libraries),
    frozenset({"dlopen"}): _LIBRARY,
    frozenset({"mimefile", "mime-file"}): replace(_SENT, fails="uWSGI sends files without a type"),
    frozenset({"upload-progress"}): replace(_SENT, need=Need.FILL, fails="there is no progress"),
    frozenset({"envdir"}): Rule(Need.ENTER, START, _whole),
    frozenset({"sharedarea"}): Rule(Need.READ, BIND, _files_of_area),
    _INTERFACES: replace(_AWAITED, paths=_interface),
    frozenset({"wait-for-socket"}): replace(_AWAITED, paths=_unless_address),
    frozenset({"wait-for-fs", "wait-for-file", "wait-for-dir", "wait-for-mountpoint"}): _AWAITED,
    frozenset({"mount", "worker-mount"}): Rule(Need.READ, LOAD, _of_mount),
}
# Without a value, uWSGI goes on with none of these.
_NEVER_EMPTY = frozenset({
    "pidfile", "pidfile2", "safe-pidfile", "safe-pidfile2", "logto", "logto2", "daemonize",
    "daemonize2", "master-fifo", "chdir", "chdir2", "metrics-dir", "spooler", "envdir",
})  # fmt: skip
# The same by key: an ini has few of them, and is read often.
_SCALARS_WITH = {key: keys for keys in _SCALARS for key in keys}
_LISTED: dict[str, tuple[Rule, ...]] = {
    key: tuple(rule for keys, rule in _LISTS.items() if key in keys)
    for key in frozenset().union(*_LISTS)
}
_UNUSED_BY_NAME = frozenset({"pidfile", "pidfile2", "safe-pidfile", "safe-pidfile2"})


def keys_with(needs: Collection[Need]) -> frozenset[str]:
    """The options with a rule of one of these needs."""
    scalars = {key for key, keys in _SCALARS_WITH.items() if _SCALARS[keys].need in needs}
    lists = {key for key, rules in _LISTED.items() if any(rule.need in needs for rule in rules)}
    homes = HOMES if _HOME.need in needs else ()
    return frozenset({*scalars, *lists, *homes})


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
        user = rule.phase.user(users)
        if not option.value and option.key in _NEVER_EMPTY:
            cure = f"name a path, or drop {option.key}"
            yield Finding(
                option.line, rule.severity, f"{option.key} is empty, so {rule.fails}", cure
            )
        for value in rule.paths(option.value):
            path = resolved_path(
                value, start if rule.phase.after_chdir else folder, is_resolved=ini.is_resolved
            )
            if path is None or path == spec.socket or _is_package(rule, path, user, files):
                continue
            need = rule.need
            if rule.or_file and files.access(path, user).kind is FileKind.FILE:
                need = Need.READ
            base = start if rule.phase.after_chdir else folder
            if problem := problem_at(need, path, user, files):
                text, cure = _explained(option, rule, value, problem, base)
                if rule is _APP:
                    cure = _without_callable(option, path, user, files) or cure
                yield Finding(option.line, rule.severity, f"{text}, so {rule.fails}", cure)
            elif rule in _REPLACES and files.access(path, user).kind is FileKind.FILE:
                text = f"uWSGI deletes the file {path}, for {option.key} makes its own there"
                yield Finding(option.line, Severity.WARNING, text, "name a path that is free")


def _explained(
    option: Option, rule: Rule, value: str, problem: tuple[str, str], base: str | None
) -> tuple[str, str]:
    """The text of a problem and its cure, by how the path is written. A relative one begins in
    `base`."""
    text, cure = problem
    if variable := unset_variable(value):
        return without_value(option, variable)
    if rule is _SOCKET:
        return text, f"drop {option.key}, as nginx talks to emperord's own socket"
    if text.startswith("there is no") and not value.startswith("/"):
        cure = f"put it there, or write the path from / on: a relative one begins in {base}"
    return text, cure


def _is_package(rule: Rule, path: str, user: Identity, files: Files) -> bool:
    """Whether it is the app, as a package that can be read."""
    return rule is _APP and problem_at(Need.READ, f"{path}/__init__.py", user, files) is None


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


def resolved_path(value: str, folder: str | None, *, is_resolved: bool = False) -> str | None:
    """The path that a value names, seen from `folder`; None where only uWSGI knows. `is_resolved`:
    what looks like a variable is a part of the path."""
    is_unknown = value.startswith(URLS) if is_resolved else refers(value)
    if not value or is_unknown or _LOST_BYTE in value:
        return None
    if folder is None and not value.startswith("/"):
        return None
    return os.path.join(folder or "/", value)


def _without_callable(option: Option, path: str, user: Identity, files: Files) -> str | None:
    file, colon, name = path.rpartition(":")
    if colon and files.access(file, user).reach is Reach.REACHED:
        return f"write {option.key} = {option.value.rpartition(':')[0]}, and callable = {name}"
    return None
