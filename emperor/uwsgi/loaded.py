"""The files that uWSGI loads with an ini: what acts while uWSGI parses them, and who could have
written them.

uWSGI opens these itself, by their names. Where it runs as a tenant it can open and do no more than
the tenant can anyway. What root has written must not load what others can change: their options
would be root's.
"""

import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from emperor.linux.trust import others_may_write, who_may_turn
from emperor.model.definition import LONGEST_DEFINITION, BrokenIni
from emperor.model.spec import Identity
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.identity import ROOT
from emperor.uwsgi.ini import (
    LOADERS,
    PLACEHOLDERS,
    PLUGIN_KEYS,
    Ini,
    Option,
    lines_of,
    text_of,
    with_declared,
)

MOST_FILES = 64
_LONGEST_EXCERPT = 200
# Schemes of uWSGI (core/io.c) that run or fetch something. `http://` is harmless in most values.
_ACTS = re.compile(r"(?:exec|call|callint)://|@\(http://")
_FETCHES = "http://"
# While uWSGI parses these it signals a process, waits for a lock or a peer, or prints and exits.
_ACTING_KEYS = frozenset({
    "stop", "reload", "pause", "suspend", "resume", "signal", "flock", "flock-wait",
    "connect-and-read", "extract",
})  # fmt: skip
# A path loads any code, and so runs it, unless it is root's. A name loads one of uWSGI's plugins.
_PLUGINS = PLUGIN_KEYS | {"plugin-dir", "plugins-dir"}
# Options and values from other files, beside those of LOADERS.
_INJECTORS = frozenset({"inject-before", "inject-after", "for-readline"})
_READ = re.compile(r"@\(([^()]*)\)")

# Number, key and value of a line that may be an option.
Line = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class SideEffect:
    """An option that acts while uWSGI parses it. `line` is 0 where it is in another file."""

    line: int
    text: str


def find_side_effect(ini: Ini, folder: str, most: int) -> SideEffect | None:
    """The first side effect of parsing an ini and the files that it includes by their paths, from
    `folder` on. Looks at no more than `most` files, the ini among them."""
    own = list(_lines(ini.text))
    for number, key, value in own:
        if _acts(key, value):
            return SideEffect(number, f"{key} = {value[:_LONGEST_EXCERPT]}")
    pending = _included(own)
    if ini.before is not None:
        before = list(options_of_text(ini.before.data, ini.before.path))
        for _, key, value in before:
            if _acts(key, value):
                text = f"{key} = {value[:_LONGEST_EXCERPT]} of {ini.before.path}"
                return SideEffect(0, text)
        pending += _included(before)
    seen: set[str] = set()
    while pending and len(seen) + 1 < most:
        path = os.path.join(folder, pending.pop())
        if path in seen:
            continue
        seen.add(path)
        lines = list(option_lines(path))
        for number, key, value in lines:
            if _acts(key, value):
                # Without its text: we can read files that the readers of this message may not.
                return SideEffect(0, f"line {number} of {path}")
        pending += _included(lines)
    return None


def missing_file(ini: Ini, path: str) -> Finding | None:
    """An error if nothing is at the absolute `path`, and uWSGI reads it as it reads the ini."""
    if os.path.lexists(path):
        return None
    for option in ini.options:
        values = _READ.findall(option.value)
        values += [option.value] if option.key in LOADERS else []
        if any(value and path.endswith(f"/{value.lstrip('/')}") for value in values):
            text = (
                f"there is no {path}, which {option.key} has uWSGI read, so the app does not start"
            )
            cure = f"put the file there, or correct {option.key}"
            return Finding(option.line, Severity.ERROR, text, cure)
    return None


def refuse_untrusted(ini: Ini, folder: str, user: Identity, known: Collection[str]) -> None:
    """Raise BrokenIni for an ini of root's that a uWSGI with the options `known` cannot read as
    `user` without what others than root and that user could have written."""
    reason = ini.needs_uwsgi
    assert reason is not None
    where = who_may_change(ini, folder, user.uid, known)
    if where is None:
        return
    if user.uid != ROOT:
        raise _of_others(reason, where, user)
    if not os.path.lexists(where):
        cure = f"put the file there: a relative path begins in {os.path.dirname(where)}"
        if os.path.isabs(reason.value):
            cure = f"put the file there, or correct {reason.key}"
        raise reason.broken(f"there is no {where}, which is included", cure)
    raise reason.broken(
        f"uWSGI would have to resolve {reason.key} as root, and others than root can change"
        f" {where}",
        "have root own it, or set uid in [emperor]",
    )


def refuse_loaded(reason: Option, ini: Ini, folder: str, user: Identity) -> None:
    """Raise BrokenIni for such a file among those that uWSGI says to have loaded: `ini` is as uWSGI
    has resolved it, which the option `reason` made necessary."""
    for option in ini.options:
        name = option.value.partition(":")[0]
        if option.key in LOADERS and name and "://" not in option.value:
            with suppress(OSError, ValueError):
                if where := who_else(os.path.join(folder, name), user.uid):
                    raise _of_others(reason, where, user)


def _of_others(reason: Option, where: str, user: Identity) -> BrokenIni:
    name = user.user or f"uid {user.uid}"
    return reason.broken(
        f"others than root and {name}, as which uWSGI reads it, can change {where}",
        f"have root or {name} own it, and nobody else write there",
    )


def who_may_change(
    ini: Ini, folder: str, user: int, known: Collection[str] = LOADERS
) -> str | None:
    """A file that uWSGI, with the options `known`, reads with an ini of root's, or a folder on the
    way there, that others can change than root and `user`, the uid that uWSGI runs as. None where
    there is none. The ini itself, and a file that cannot be found, count where uWSGI runs as root:
    it may come yet."""
    loaders = LOADERS.intersection(known)
    options = [(option.line, option.key, option.value) for option in with_declared(ini)]
    pending = _read_with(options, loaders, user)
    pending += [ini.name] if user == ROOT else []
    seen: set[str] = set()
    while pending:
        path = os.path.join(folder, pending.pop())
        if path in seen:
            continue
        seen.add(path)
        if len(seen) > MOST_FILES:
            return path
        try:
            if where := who_else(path, user):
                return where
            # Root opens nothing that a tenant names.
            is_roots = who_else(path, ROOT) is None
        except (OSError, ValueError):
            if user == ROOT:
                return path
            continue
        if is_roots and path != os.path.join(folder, ini.name):
            pending += _read_with(option_lines(path), loaders, user)
    return None


def who_else(path: str, user: int) -> str | None:
    """The file at an absolute path, or a folder or link on the way there, that others than root and
    `user` can change; None where there is none. Raises OSError where there is no file."""
    if where := who_may_turn(path, user):
        return where
    info = os.stat(path)
    return path if info.st_uid not in (ROOT, user) or others_may_write(info, path) else None


def _read_with(lines: Iterable[Line], loaders: Collection[str], user: int) -> list[str]:
    """What uWSGI reads by these options: where it runs as root, values too."""
    names = []
    for number, key, value in map(_set, lines):
        names += _included([(number, key, value)], loaders)
        if user == ROOT:
            names += [value] if key in _INJECTORS else []
            names += [name for name in _READ.findall(value) if "://" not in name]
    return names


def _set(line: Line) -> Line:
    """The option that `set = key=value` stands for; any other one as it is."""
    number, key, value = line
    if key != "set":
        return line
    key, _, value = value.partition("=")
    return number, key, value


def _included(lines: Iterable[Line], loaders: Collection[str] = LOADERS) -> list[str]:
    included = [value for _, key, value in lines if key in loaders]
    return [value.partition(":")[0] for value in included if not value.startswith(":")]


def _acts(key: str, value: str) -> bool:
    return (
        key in _ACTING_KEYS
        or _ACTS.search(f"{key}={value}") is not None
        or (key in LOADERS and value.startswith(_FETCHES))
        or (key in _PLUGINS and "/" in value and not is_roots(value))
    )


def is_roots(path: str) -> bool:
    """Whether only root, or the user of this process, decides what is at an absolute path."""
    if not path.startswith("/") or any(placeholder in path for placeholder in PLACEHOLDERS):
        return False
    while not os.path.lexists(path):
        path = os.path.dirname(path.rstrip("/"))
    try:
        info = os.stat(path)
        may_turn = who_may_turn(path, ROOT)
    except OSError:
        return False
    is_trusted = info.st_uid in (ROOT, os.geteuid()) and not others_may_write(info, path)
    return may_turn is None and is_trusted


def option_lines(path: str) -> Iterator[Line]:
    """Number, key and value of each line that may be an option. None of a file that is no text."""
    try:
        # To open a device may have effects of its own, and to open a pipe may block.
        if not stat.S_ISREG(os.stat(path).st_mode):
            return
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return
            data = file.read(LONGEST_DEFINITION + 1) or b""
        yield from options_of_text(data, path)
    except (OSError, BrokenIni):
        return


def options_of_text(data: bytes, path: str) -> Iterator[Line]:
    """The options in the `data` of a file. Raises BrokenIni."""
    text = text_of(data, os.path.basename(path), os.path.dirname(path))
    yield from _lines(text)


def _lines(text: str) -> Iterator[Line]:
    is_emperors = False
    for number, line in lines_of(text):
        if line.startswith("["):
            is_emperors = line == "[emperor]"
        elif not is_emperors:
            key, _, value = line.partition("=")
            yield number, key.strip(), value.strip()
