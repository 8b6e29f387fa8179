"""Puts whole files into a folder, and takes them off, without harm to what others have put there.

A file is written under a name that the folder of inis ignores, and gets its name when it is whole.
The folder must be one that only root can change.
"""

import errno
import hashlib
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from emperor.linux.pull_mark import mark
from emperor.model.pulled import Found, Pulled

_DRAFT, _ASIDE = ".pulled", ".aside"
_MOST_BYTES = 1 << 20
# Its owner may read it: an ini may hold a password.
_MODE = 0o400
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Taken(Exception):
    """Another file has the name meanwhile."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The user and the group of a file."""

    uid: int
    gid: int


def digest_of(data: bytes) -> str:
    """What tells one content from another."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def seem_placed(folder: Path) -> list[str]:
    """The names of the inis in the folder that have the mode of placed files. Raises OSError."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.name.endswith(".ini") and _is_like_placed(entry):
                    found.append(entry.name)
    return found


def _is_like_placed(entry: os.DirEntry[str]) -> bool:
    mode = entry.stat(follow_symlinks=False).st_mode
    return stat.S_ISREG(mode) and stat.S_IMODE(mode) == _MODE


def find(path: Path) -> Found | None:
    """What is at `path`; a link, a device, or a file that its owner holds by a lease (fcntl(2)) is
    one without a digest. Raises OSError."""
    try:
        fd = os.open(path, _READ)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO, errno.EWOULDBLOCK):
            raise
        info = os.lstat(path)
        return Found(info.st_ino, "", is_damaged=False, owner=info.st_uid)
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            return Found(info.st_ino, "", is_damaged=False, owner=info.st_uid)
        data = os.read(fd, _MOST_BYTES)
    finally:
        os.close(fd)
    is_damaged = not data or b"\0" in data
    return Found(info.st_ino, digest_of(data), is_damaged, info.st_uid)


def inode_at(path: Path) -> int | None:
    """The inode of what has that name; None: nothing has. Raises OSError."""
    try:
        return os.lstat(path).st_ino
    except FileNotFoundError:
        return None


class Draft:
    """A whole file that waits for its name, at the end of a block that must not keep it. `owner`:
    None leaves it to the user of this process. Raises OSError."""

    def __init__(self, path: Path, data: bytes, owner: Owner | None) -> None:
        self._path = path
        self._draft = path.with_name(f".{path.name}{_DRAFT}")
        self._draft.unlink(missing_ok=True)
        fd = os.open(self._draft, _WRITE, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                if owner is not None:
                    os.fchown(file.fileno(), owner.uid, owner.gid)
                os.fchmod(file.fileno(), _MODE)
                file.write(data)
                file.flush()
                self.inode = os.fstat(file.fileno()).st_ino
        except OSError:
            self.close()
            raise

    def mark(self, pulled: Pulled) -> None:
        """Have the file tell what it is."""
        mark(self._draft, pulled)

    def place(self, instead_of: int | None) -> None:
        """Give it its name, which the file with that inode has until now; None: which nothing has.
        Raises OSError and Taken."""
        if instead_of is None:
            try:
                os.link(self._draft, self._path)
            except FileExistsError as error:
                raise Taken from error
            self.close()
            return
        _require(self._path, instead_of)
        self._draft.replace(self._path)

    def close(self) -> None:
        """Drop what did not get its name."""
        with suppress(OSError):
            self._draft.unlink(missing_ok=True)


def remove(path: Path, inode: int) -> None:
    """Remove the file with that inode. Raises OSError and Taken."""
    _require(path, inode)
    path.unlink()


def set_aside(path: Path, inode: int) -> Path:
    """Move the file with that inode to a name that the folder of inis ignores, and return the new
    path. Raises OSError and Taken."""
    aside = path.with_name(f".{path.name}{_ASIDE}")
    _require(path, inode)
    path.replace(aside)
    return aside


def sweep(folder: Path) -> None:
    """Remove the drafts that a process has left which was killed. Raises OSError."""
    for name in os.listdir(folder):
        if name.startswith(".") and name.endswith(f".ini{_DRAFT}"):
            (folder / name).unlink(missing_ok=True)


def _require(path: Path, inode: int) -> None:
    if inode_at(path) != inode:
        raise Taken
