"""Whether a user may bind a socket at an address, which decides a conflict of two inis."""

import os
import re
import stat
from pathlib import Path

from emperor.model.spec import Identity

_FIRST_OPEN_PORT = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
_ROOT = 0


def may_bind(address: str, identity: Identity | None) -> bool:
    """Whether a process of that user may bind `address`: HOST:PORT, a path, or `@` and an abstract
    name. None is the user of the daemon. Where that cannot be told, the user may."""
    if identity is None or identity.uid == _ROOT or address.startswith("@"):
        return True
    if address.startswith("/"):
        return _may_write(os.path.dirname(address), identity)
    port = address.rpartition(":")[2]
    return not re.fullmatch("[0-9]{1,9}", port) or int(port) >= _first_open_port()


def _may_write(folder: str, identity: Identity) -> bool:
    """Whether the mode of the folder lets the user write. The user may be in any of the groups that
    can write there."""
    try:
        info = os.stat(folder)
    except OSError:
        return True
    if info.st_uid == identity.uid:
        return bool(info.st_mode & stat.S_IWUSR)
    return bool(info.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _first_open_port() -> int:
    try:
        return int(_FIRST_OPEN_PORT.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
