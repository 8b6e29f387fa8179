"""Finds inis that name an app, or files, and yet answer no request for `/`."""

import os
import re
from collections.abc import Iterator, Mapping

from emperor.model.access import FileKind, Reach
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.ini import PLUGIN_KEYS, Ini, Option, is_off, refers
from emperor.uwsgi.needs import Files, Need, problem_at
from emperor.uwsgi.places import places
from emperor.uwsgi.routes import jumps
from emperor.uwsgi.runtime_options import APPS
from emperor.uwsgi.spec import MOUNTED_FILES
from emperor.uwsgi.users import Users

_MOUNTS = frozenset({"mount", "worker-mount"})
_HOSTS = frozenset({"vhost", "vhost-host", "virtual-host", "virtualhost"})
_MAPS = frozenset({"static-map", "static-map2"})
# A path with $1 is that of the request.
_SENDS = re.compile(r"(?:\S+ )?static:(?P<path>[^$ ]+)")
_FOLDERS = frozenset({"check-static", "static-check"})


def unanswered(ini: Ini, folder: str, users: Users, files: Files) -> Iterator[Finding]:
    """An error for each of them. `folder` is the one in which uWSGI starts."""
    yield from _mounts(ini)
    yield from _hosts(ini)
    yield from jumps(ini)
    if APPS.isdisjoint(ini.last):
        yield from _index(ini, folder, users, files)
        yield from _sent(ini, folder, users, files)


def _mounts(ini: Ini) -> Iterator[Finding]:
    """Mounts of the only app, which Python does not load, or which are for another host."""
    last = ini.last
    mounts = [each for each in ini.options if each.key in _MOUNTS and "=" in each.value]
    if not mounts or any(key in last for key in (APPS | PLUGIN_KEYS) - _MOUNTS):
        return
    first = mounts[0]
    targets = [each.value.partition("=")[2] for each in mounts]
    if not any(refers(each) or _is_python(each) for each in targets):
        text = f"{first.key} = {first.value} names no file and no MODULE:CALLABLE, so no app is"
        cure = f"write {first.key} = {first.value}:application, or the path of a .py file"
        yield Finding(first.line, Severity.ERROR, f"{text} loaded", cure)
    elif not any(each.value.startswith("/") or refers(each.value) for each in mounts) and not any(
        _is_on(last, key) for key in _HOSTS
    ):
        text = f"{first.key} = {first.value} is for a host, which uWSGI looks at with vhost only"
        yield Finding(first.line, Severity.ERROR, text, f"write {first.key} = /={targets[0]}")


def _hosts(ini: Ini) -> Iterator[Finding]:
    """An app that is for no host and may not answer for all."""
    last = ini.last
    by_host = [key for key in sorted(_HOSTS) if _is_on(last, key)]
    if by_host and _is_on(last, "no-default-app") and not _MOUNTS & last.keys():
        option = last["no-default-app"]
        text = f"with {by_host[0]} and no-default-app, an app without a mount answers no host"
        yield Finding(option.line, Severity.ERROR, text, "drop no-default-app, or add mount")


def _is_python(target: str) -> bool:
    return target.endswith((*MOUNTED_FILES, ".ini")) or ":" in target


def _is_on(last: Mapping[str, Option], key: str) -> bool:
    return key in last and not is_off(last[key].value)


def _sent(ini: Ini, folder: str, users: Users, files: Files) -> Iterator[Finding]:
    """A file that a route sends, where no app answers."""
    start = places(ini.last, folder).folder
    for option in ini.options:
        match = _SENDS.fullmatch(option.value) if option.key.startswith("route") else None
        if match is None or start is None or refers(option.value) or "chroot" in ini.last:
            continue
        path = os.path.join(start, match["path"])
        if problem := problem_at(Need.READ, path, users.serve, files):
            text = f"{problem[0]}, so {option.key} sends none, and there is no app that answers"
            yield Finding(option.line, Severity.ERROR, text, problem[1])


def _index(ini: Ini, folder: str, users: Users, files: Files) -> Iterator[Finding]:
    """An index that is in none of the folders for `/`."""
    indexes = [each for each in ini.options if each.key == "static-index"]
    start = places(ini.last, folder).folder
    if not indexes or start is None or "route-run" in ini.last:
        return
    roots = [each.value for each in ini.options if each.key in _FOLDERS]
    maps = [each.value.partition("=") for each in ini.options if each.key in _MAPS]
    roots += [target for path, _, target in maps if path == "/"]
    paths = [os.path.join(start, root, each.value) for root in roots for each in indexes]
    if any(refers(path) for path in paths):
        return
    found = [files.access(path, users.serve) for path in paths]
    if not any(
        each.kind is FileKind.FILE or each.reach in (Reach.UNSEEN, Reach.CLOSED) for each in found
    ):
        where = f"there is no {paths[0]}" if paths else "no static-map is for /"
        text = f"{where}, and no app answers requests for /"
        yield Finding(indexes[-1].line, Severity.ERROR, text, "put the file there, or name an app")
