"""Reads one ini from the disk, if nobody but its owner can change it; tells by its name whether a
file is one."""

import errno
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass

from emperor.linux.stamps import stamp_of
from emperor.linux.trust import closing, others_may_write, who_may_turn
from emperor.model.definition import LONGEST_DEFINITION, BrokenIni, FileOwner
from emperor.model.domain import LONGEST_DOMAIN
from emperor.model.spec import Stamp
from emperor.model.wildcard import cure_of_name

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
# What they name the file that they write: emacs, nano, vim, rsync, `sed -i` and `perl -i`.
_DRAFT = re.compile(r"\..*|.*~|#.*#|4913|sed[A-Za-z0-9]{6}|XX[A-Za-z0-9]{6}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class IniFile:
    """The content of an ini, and the stamp of this version."""

    data: bytes
    stamp: Stamp

    @property
    def owner(self) -> FileOwner:
        """The owner of the file."""
        return FileOwner(self.stamp.uid, self.stamp.gid)


def open_folder(folder: str, place: str) -> str:
    """The sentence about a folder of inis that others can change, since they can change `place`."""
    return (
        f"cannot serve the inis of {folder}: others than root can change {place}; {closing(place)}"
    )


def is_draft(file: str) -> bool:
    """Whether an editor is about to write a file of that name."""
    return _DRAFT.fullmatch(file) is not None


def misnamed(file: str) -> str:
    """The sentence about a file whose name without the suffix is no domain."""
    cure = cure_of_name(file.removesuffix(".ini")) or "rename it"
    return (
        f"cannot serve {file!r}: its name is no host name (a-z 0-9 _ . -, at most"
        f" {LONGEST_DOMAIN} characters); {cure}"
    )


def owner_of(path: str) -> int | None:
    """Who owns an ini that could not be read; None: the kernel does not tell that either."""
    with suppress(OSError):
        return os.stat(path).st_uid
    return None


def read_ini(path: str, seen: os.stat_result | None = None) -> IniFile:
    """Read the ini at `path`. Raises OSError and BrokenIni. Never waits for a pipe or a device.

    The name is opened once, and what is said of the file is said of what was opened. `seen` is its
    status of a moment ago, where the caller has that.
    """
    fd, is_link = _open(path, seen or os.stat(path))
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise BrokenIni("it is not a file")
        if others_may_write(info, fd):
            raise BrokenIni(
                "others than its owner may write to it",
                "chmod go-w it, and drop its access list, if any",
            )
        if is_link and (where := who_may_turn(path, info.st_uid)):
            raise BrokenIni(f"others may change {where}, which leads to it", "copy the ini here")
        if info.st_size > LONGEST_DEFINITION:
            raise BrokenIni(f"it has {info.st_size} bytes, which is more than an ini can have")
        data = os.read(fd, LONGEST_DEFINITION)
    finally:
        os.close(fd)
    return IniFile(data, stamp_of(info))


def _open(path: str, seen: os.stat_result) -> tuple[int, bool]:
    """A descriptor, and whether the path is a link. Raises OSError and BrokenIni."""
    # To open a device may have effects of its own.
    if not stat.S_ISREG(seen.st_mode):
        raise BrokenIni("it is not a file")
    try:
        return os.open(path, _FLAGS | os.O_NOFOLLOW), False
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return os.open(path, _FLAGS), True
