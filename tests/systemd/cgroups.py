"""Control groups in which nspawn runs a machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path

from tests.eventually import eventually
from tests.linux.control_groups import removed

# This variable says which version nspawn gives to a machine; see systemd-nspawn(1).
VERSION_VARIABLE = "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"


class Cgroups(StrEnum):
    """The version of cgroups that a machine sees."""

    V1 = "v1"
    V2 = "v2"

    @property
    def variable(self) -> str:
        """The value of VERSION_VARIABLE."""
        return "1" if self is Cgroups.V2 else "0"


# Where this machine has the hierarchies by which systemd may track processes: v2 beside v1, v1, and
# v2 or nothing.
_BESIDE, _V1, _TOP = map(
    Path, ("/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup")
)


def versions_here() -> list[Cgroups]:
    """The versions that this machine can give to another."""
    has_v2 = any(Path(place, "cgroup.controllers").exists() for place in (_BESIDE, _TOP))
    return [*([Cgroups.V1] if _is_hierarchy(_V1) else []), *([Cgroups.V2] if has_v2 else [])]


def _is_hierarchy(folder: Path) -> bool:
    return Path(folder, "cgroup.procs").exists()


# Where emperord makes groups too: controllers of v1.
_LIMITING = ("cpu", "blkio", "memory", "pids")


@contextmanager
def groups_named(name: str, are_limiting: bool = False) -> Iterator[list[Path]]:
    """A cgroup of that name in each hierarchy by which systemd may track processes. `are_limiting`:
    and in each in which emperord limits them."""
    groups = _groups(name, are_limiting)
    for group in groups:
        group.mkdir()
    try:
        yield groups
    finally:
        remove_groups(name, are_limiting)


def remove_groups(name: str, are_limiting: bool = False) -> None:
    """Remove what `groups_named` has made, as soon as nothing runs there."""
    for group in _groups(name, are_limiting):
        for folder, _, _ in os.walk(group, topdown=False):
            eventually(partial(removed, Path(folder)), what=f"{folder} is empty")


def _groups(name: str, are_limiting: bool) -> list[Path]:
    places = [_BESIDE, _V1, _TOP]
    if are_limiting:
        places += dict.fromkeys(Path(_TOP, controller).resolve() for controller in _LIMITING)
    return [Path(place, name) for place in places if _is_hierarchy(place)]
