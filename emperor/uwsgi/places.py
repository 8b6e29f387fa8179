"""Where uWSGI finds the paths of an ini (uwsgi_start of core/uwsgi.c, measured on 2.0.31).

uWSGI starts in the folder of the ini. `%v`, includes, `pidfile`, `safe-pidfile`, `logto`, `logto2`,
`daemonize` and `shared-socket` refer to that. Then it enters `chroot` and `chdir`, and binds its
sockets. `chdir2` comes after the apps are loaded and moves no socket.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from emperor.uwsgi.ini import Option, refers

# With one of these uWSGI binds its sockets before it enters the chroot.
_LATE_CHROOT = frozenset({"chown-socket", "drop-after-init", "drop-after-apps", "master-as-root"})


@dataclass(frozen=True, slots=True)
class Places:
    """The folders from which uWSGI takes the paths of an ini. `start` is the folder of the ini,
    `folder` is the one after `chdir`, and `root` that of `chroot`, or empty. `folder` is None where
    only uWSGI can tell it."""

    start: str
    folder: str | None
    root: str = ""

    def bound(self, path: str) -> str:
        """The place of a socket at `path`, without `.` and `..`. It follows no links."""
        if path.startswith("/"):
            return os.path.normpath(self.root + path)
        return os.path.normpath(os.path.join(self.folder or self.start, path))


def places(last: Mapping[str, Option], start: str) -> Places:
    """The places of an ini in the folder `start`, by the last option of each key."""
    chdir, chroot = last.get("chdir"), last.get("chroot")
    root = ""
    if chroot is not None and _LATE_CHROOT.isdisjoint(last):
        root = os.path.normpath(os.path.join(start, chroot.value))
    if chdir is None:
        return Places(start, start, root)
    if refers(chdir.value):
        return Places(start, None, root)
    if chdir.value.startswith("/"):
        return Places(start, root + chdir.value, root)
    return Places(start, os.path.join(start, chdir.value), root)
