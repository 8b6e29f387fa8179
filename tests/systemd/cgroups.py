"""Control groups in which nspawn runs a machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.eventually import eventually


@contextmanager
def groups_named(name: str) -> Iterator[list[Path]]:
    """A cgroup of that name in each hierarchy by which systemd may track processes (v2, the hybrid
    of v1 and v2, v1)."""
    hierarchies = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup")
    groups = [Path(h, name) for h in hierarchies if Path(h, "cgroup.procs").exists()]
    for group in groups:
        group.mkdir()
    try:
        yield groups
    finally:
        for group in groups:
            for folder, _, _ in os.walk(group, topdown=False):
                eventually(partial(_removed, folder), what=f"{folder} is empty")


def _removed(group: str) -> bool:
    try:
        os.rmdir(group)
    except OSError:  # processes of the box are still on their way out
        return False
    return True
