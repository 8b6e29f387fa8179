"""Decides whether a user can do at a path what uWSGI needs there, for `emperorctl check`."""

import os
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Protocol

from emperor.model.access import Access, FileKind, Reach
from emperor.model.spec import Identity
from emperor.uwsgi.identity import ROOT
from emperor.uwsgi.users import name_of


class Files(Protocol):
    """The files of this machine."""

    def access(self, path: str, user: Identity) -> Access:
        """What `user` can do at the absolute `path`."""

    def first_line(self, path: str) -> str:
        """The first line of the regular file at the absolute `path`; empty where it is unknown."""


class Need(Enum):
    """What uWSGI does at the path. FILL: it writes files into that folder. THERE: it needs anything
    there, NEW: nothing, so that it can make that, and REMOVE: a file that it can delete. LOCK: it
    reads and writes a file that is there already."""

    ENTER = "enter"
    READ = "read"
    WRITE = "write"
    BIND = "bind"
    SPOOL = "spool"
    FILL = "fill"
    EXECUTE = "execute"
    LOCK = "lock"
    THERE = "there"
    NEW = "new"
    REMOVE = "remove"


# The text of a problem, and its cure.
TextAndCure = tuple[str, str]


def problem_at(need: Need, path: str, user: Identity, files: Files) -> TextAndCure | None:
    """Why `user` cannot do at `path` what is needed, with the cure; None where that is possible."""
    found = files.access(path, user)
    if found.reach in (Reach.UNSEEN, Reach.CLOSED):
        return _closed(found.at, user) if found.reach is Reach.CLOSED else None
    if problem_of := _PROBLEMS.get(need):
        problem = problem_of(found, path, user)
        if problem or need not in (Need.NEW, Need.REMOVE):
            return problem
    if need is Need.SPOOL and found.kind is FileKind.FOLDER:
        may = found.can_read and found.can_write and found.can_enter
        return None if may else _denied(user, "use the folder", path)
    if found.reach is Reach.REACHED and found.kind is not FileKind.FOLDER and need is Need.WRITE:
        return None if found.can_write else _denied(user, "write to", path)
    return _cannot_make(found, path, user, files)


def _cannot_enter(found: Access, path: str, user: Identity) -> TextAndCure | None:
    if found.kind is not FileKind.FOLDER:
        return f"there is no folder {path}", "make it, or name another"
    return None if found.can_enter else _closed(path, user)


def _cannot_read(found: Access, path: str, user: Identity) -> TextAndCure | None:
    if found.reach is Reach.MISSING:
        return f"there is no {path}", "put the file there, or name another"
    if found.kind is FileKind.FOLDER:
        return f"{path} is a folder", "name a file"
    return None if found.can_read else _denied(user, "read", path)


def _cannot_fill(found: Access, path: str, user: Identity) -> TextAndCure | None:
    if problem := _cannot_enter(found, path, user):
        return problem
    return None if found.can_write else _denied(user, "make files in", path)


def _cannot_execute(found: Access, path: str, user: Identity) -> TextAndCure | None:
    if found.reach is Reach.MISSING:
        return f"there is no program {path}", "put it there, or correct the command"
    return None if found.can_execute else _denied(user, "run", path)


def _cannot_lock(found: Access, path: str, user: Identity) -> TextAndCure | None:
    if problem := _cannot_read(found, path, user):
        return problem
    return None if found.can_write else _denied(user, "write to", path)


def _is_missing(found: Access, path: str, _: Identity) -> TextAndCure | None:
    if found.reach is not Reach.MISSING:
        return None
    return f"there is no {path}", "make it, or drop that"


def _is_there(found: Access, path: str, _: Identity) -> TextAndCure | None:
    return (f"{path} is there already", "remove it, or drop that") if found.kind else None


_PROBLEMS: Mapping[Need, Callable[[Access, str, Identity], TextAndCure | None]] = {
    Need.ENTER: _cannot_enter,
    Need.READ: _cannot_read,
    Need.FILL: _cannot_fill,
    Need.EXECUTE: _cannot_execute,
    Need.LOCK: _cannot_lock,
    Need.THERE: _is_missing,
    Need.NEW: _is_there,
    Need.REMOVE: _is_missing,
}


def _cannot_make(there: Access, path: str, user: Identity, files: Files) -> TextAndCure | None:
    """Why `user` cannot make a file or a socket at `path`, in place of what is there."""
    if there.kind is FileKind.FOLDER:
        return f"{path} is a folder", "name a file"
    parent = os.path.dirname(path.rstrip("/")) or "/"
    found = files.access(parent, user)
    if found.reach is Reach.UNSEEN:
        return None
    if problem := problem_at(Need.ENTER, parent, user, files):
        return problem
    if not found.can_write:
        return _denied(user, "make files in", parent)
    may_replace = not found.is_sticky or user.uid in (ROOT, there.owner, found.owner)
    return None if there.kind is None or may_replace else _denied(user, "replace", path)


def _closed(folder: str, user: Identity) -> TextAndCure:
    name = name_of(user)
    cure = f"let {name} in (setfacl -m u:{user.uid}:x), or have the app run as the folder's owner"
    return f"{name} may not enter {folder}", cure


def _denied(user: Identity, verb: str, path: str) -> TextAndCure:
    return f"{name_of(user)} may not {verb} {path}", "change its owner or mode, or name another"
