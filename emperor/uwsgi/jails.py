"""Finds the cgroups, namespaces and roots of an ini that uWSGI cannot enter, and a home of Python
without Python in it. All of them are entered before the app is loaded."""

import os
import sys
from collections.abc import Iterator

from emperor.model.access import FileKind, Reach
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.identity import ROOT
from emperor.uwsgi.ini import HOMES, Ini, Option, refers
from emperor.uwsgi.needs import Files
from emperor.uwsgi.users import Users

_PIVOTS = ("pivot-root", "pivot_root")
_HOME_VARIABLE = "PYTHONHOME="


def unusable_jails(
    ini: Ini, folder: str, users: Users, files: Files, python: str | None
) -> Iterator[Finding]:
    """An error for each of them. `folder` is the ini's own, and `python` the version of uWSGI's
    Python."""
    last = ini.last
    jail = _Jail(folder, users, files)
    for option in ini.options:
        if refers(option.value) and not ini.is_resolved:
            continue
        if option.key == "cgroup" and users.start.uid == ROOT:
            yield from jail.cgroup(option)
        elif option.key == "setns":
            yield from jail.setns(option)
        elif python and _names_python_home(option):
            yield from jail.python_home(option, python)
    for key in _PIVOTS:
        if key in last and users.start.uid == ROOT:
            yield from jail.pivot(last[key])
    if "chroot" in last and users.start.uid == ROOT and not refers(last["chroot"].value):
        yield from jail.chroot(last["chroot"], python if HOMES.isdisjoint(last) else None)


def _names_python_home(option: Option) -> bool:
    return option.key == "env" and option.value.startswith(_HOME_VARIABLE)


class _Jail:
    def __init__(self, folder: str, users: Users, files: Files) -> None:
        self._folder = folder
        self._user = users.start
        self._load = users.load
        self._files = files

    def is_there(self, path: str, kind: FileKind) -> bool:
        """Whether it is, or may be, there."""
        found = self._files.access(os.path.join(self._folder, path), self._user)
        return found.kind is kind or found.reach in (Reach.CLOSED, Reach.UNSEEN)

    def setns(self, option: Option) -> Iterator[Finding]:
        """uWSGI connects to that socket, and tries for ever."""
        found = self._files.access(os.path.join(self._folder, option.value), self._user)
        is_usable = found.kind is FileKind.SOCKET and found.can_write
        if found.reach is not Reach.UNSEEN and not is_usable:
            text = f"setns waits for the socket {option.value}, which it cannot use"
            yield _error(option, text, "start what listens there first, or drop setns")

    def cgroup(self, option: Option) -> Iterator[Finding]:
        """uWSGI makes the folder, and writes into `tasks`, which groups of version 2 lack."""
        path = option.value
        place = path if self.is_there(path, FileKind.FOLDER) else os.path.dirname(path.rstrip("/"))
        has_procs = self.is_there(f"{place}/cgroup.procs", FileKind.FILE)
        if not self.is_there(place, FileKind.FOLDER):
            yield _error(option, f"there is no folder {place}", "make it, or drop cgroup")
        elif has_procs and not self.is_there(f"{place}/tasks", FileKind.FILE):
            text = f"{place} is a control group of version 2, and cgroup needs version 1"
            cure = "drop cgroup, and set MemoryMax= and the like in emperord's unit"
            yield _error(option, text, cure)

    def pivot(self, option: Option) -> Iterator[Finding]:
        """An error unless both places are folders."""
        root, space, old = option.value.partition(" ")
        if not space:
            text = f"{option.key} takes two folders, not {option.value!r}"
            yield _error(option, text, f"write {option.key} = NEW OLD")
            return
        for path in (root, os.path.join(root, old)):
            if not self.is_there(path, FileKind.FOLDER):
                yield _error(option, f"there is no folder {path}", "make it, or name another")
                return

    def chroot(self, option: Option, python: str | None) -> Iterator[Finding]:
        """Python looks for its library inside."""
        root = os.path.join(self._folder, option.value)
        if (
            python
            and self.is_there(root, FileKind.FOLDER)
            and not any(
                self.is_there(f"{root}{prefix}/lib/python{python}/encodings", FileKind.FOLDER)
                for prefix in ("/usr", "/usr/local", sys.base_prefix)
            )
        ):
            text = f"there is no Python {python} in {root}"
            yield _error(option, text, f"put its library below {root}/usr/lib, or drop chroot")

    def python_home(self, option: Option, python: str) -> Iterator[Finding]:
        """A virtual environment will not do: that has no library of its own."""
        home = option.value.removeprefix(_HOME_VARIABLE)
        library = os.path.join(self._folder, home, f"lib/python{python}/encodings")
        found = self._files.access(library, self._load)
        if home and found.reach is Reach.MISSING:
            text = f"there is no library of Python {python} in {home}"
            yield _error(option, text, "drop PYTHONHOME, or write home = and a virtual environment")


def _error(option: Option, text: str, cure: str) -> Finding:
    return Finding(option.line, Severity.ERROR, f"{text}, so the app does not start", cure)
