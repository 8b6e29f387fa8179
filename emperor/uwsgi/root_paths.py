"""Finds files and folders that uWSGI would write as root, and that others can lead elsewhere.

An ini of root's may have uWSGI start as root, where `allow-root` permits it. If it names a log, a
pidfile or a socket in a folder of a tenant's, the tenant can make that name a link to any file.
"""

import os
from collections.abc import Iterator

from emperor.linux.trust import others_may_write, who_may_turn
from emperor.model.spec import Spec
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.identity import ROOT
from emperor.uwsgi.ini import Ini, Option
from emperor.uwsgi.needs import Need
from emperor.uwsgi.paths import keys_with, resolved_path, ruled
from emperor.uwsgi.places import places
from emperor.uwsgi.users import Users

_WRITTEN = frozenset({
    Need.WRITE, Need.BIND, Need.SPOOL, Need.FILL, Need.NEW, Need.REMOVE,
})  # fmt: skip
_WRITES = keys_with(_WRITTEN)


def writes_paths(ini: Ini, spec: Spec) -> bool:
    """Whether uWSGI may write a path that the ini names. emperord binds the app's own socket."""
    return any(option.key in _WRITES and option.value != spec.socket for option in ini.options)


def led_elsewhere(ini: Ini, spec: Spec, folder: str, users: Users) -> Iterator[Finding]:
    """An error for each such path. `folder` is that in which uWSGI starts. May wait for disks."""
    for option, path in _written_by_root(ini, spec, folder, users):
        if where := _who_may_lead(path):
            text = f"{option.key} has uWSGI write {path} as root, and others can change {where}"
            cure = "name a file in a folder of root's, or set uid in [emperor] to the app's user"
            yield Finding(option.line, Severity.ERROR, text, cure)


def _written_by_root(
    ini: Ini, spec: Spec, folder: str, users: Users
) -> Iterator[tuple[Option, str]]:
    start = places(ini.last, folder).folder
    for option, rule in ruled(ini, spec):
        if rule.phase.user(users).uid == ROOT and rule.need in _WRITTEN:
            for value in rule.paths(option.value):
                path = resolved_path(value, start if rule.phase.after_chdir else folder)
                if path is not None and path != spec.socket:
                    yield option, path


def _who_may_lead(path: str) -> str | None:
    """What others than root can change on an absolute path, or in the folder of its end: they
    could make the end a link, though nothing is there yet."""
    parent = os.path.dirname(os.path.normpath(path))
    try:
        if os.path.lexists(path) and (where := who_may_turn(path, ROOT)):
            return where
        while not os.path.lexists(parent):
            parent = os.path.dirname(parent)
        if where := who_may_turn(parent, ROOT):
            return where
        return parent if others_may_write(os.stat(parent), parent) else None
    except OSError:
        return None
