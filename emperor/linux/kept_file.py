"""A small file that a daemon leaves to later ones. It is read only if a daemon wrote it, and
replaced as a whole, so that it outlasts a loss of power."""

import os
import stat
from contextlib import suppress
from pathlib import Path

_PUBLIC = 0o666  # less the umask


def read_kept(path: Path, most: int) -> bytes:
    """At most `most` bytes of the file. Raises OSError, and ValueError if no daemon wrote it."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise ValueError("it is not a file")
        if info.st_uid != os.geteuid():
            raise ValueError(f"it belongs to user {info.st_uid}")
        return os.read(fd, most)
    finally:
        os.close(fd)


def replace_kept(path: Path, data: bytes, mode: int = _PUBLIC) -> None:
    """Put a new file into the place of the old one. Raises OSError, and then the old one stays."""
    draft = path.with_name(f"{path.name}.new")
    try:
        draft.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(draft, flags, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    _sync(path.parent)


def remove_kept(path: Path) -> None:
    """Remove the file, if it is there. Raises OSError, and then it stays."""
    with suppress(FileNotFoundError):
        path.unlink()
        _sync(path.parent)


def _sync(folder: Path) -> None:
    """Have the names in the folder outlast a loss of power. They are changed already, also where
    that cannot be had: some file systems refuse it, and not everybody may read the folder."""
    with suppress(OSError):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
