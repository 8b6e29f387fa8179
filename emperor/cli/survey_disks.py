"""Looks for `emperorctl doctor` at what the file systems of emperord's folders can do, by files
without a name, which leave nothing behind."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from emperor.linux.access import let_read
from emperor.linux.append_only import set_append_only, unset_append_only
from emperor.linux.log_owner import MARK
from emperor.model.survey import Ability

_SOMEBODY = 65534


def lacking(log_dir: Path, run_dir: Path) -> frozenset[Ability]:
    """What these folders lack. Where this user may not look, it is nothing."""
    found: set[Ability] = set()
    with suppress(OSError), _nameless_file(log_dir) as fd:
        set_append_only(fd)
        if not unset_append_only(fd):
            found.add(Ability.APPEND_ONLY)
        try:
            os.setxattr(fd, MARK, b"0")
        except OSError:
            found.add(Ability.MARKS)
    with suppress(OSError), _nameless_file(run_dir) as fd:
        try:
            let_read(fd, _SOMEBODY)
        except OSError:
            found.add(Ability.ACCESS_LISTS)
    return frozenset(found)


@contextmanager
def _nameless_file(folder: Path) -> Iterator[int]:
    """A file of root's in that folder, which goes with its descriptor. Raises OSError."""
    if os.geteuid() != 0:
        raise PermissionError
    fd = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)
